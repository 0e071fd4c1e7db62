// Additions of `expert_linear` to `linear`: a token's rows are those of its experts, one expert per
// slot. Slot j writes its outputs from column j · outputs on; it may also read its own columns.
// GATHERED takes slots by expert, see shared/gathered. `linear` itself has the same pipelines where
// it can: then there are no experts, and `route` is not read.
#ifdef GATHERED
// (tiles, 3), then the slots: the result of `gather`
@group(0) @binding(next) var<storage, read> gathered: array<f32>;
#else
// (tokens, route_cols): the indices of the experts come first
@group(0) @binding(next) var<storage, read> route: array<f32>;
#endif

var<private> slot: u32;
var<private> first_weight_row: u32; // of the expert

// Whether this part of the weights, which starts with expert first_expert, has an expert.
fn has_expert(number: u32) -> bool {
    // wraps to a number beyond this part for an expert before it
    let expert = number - params.first_expert;
    first_weight_row = expert * params.outputs;
    return expert < params.experts;
}

#ifndef GATHERED
// Whether the expert in a slot of a token is in this part of the weights.
fn take_expert(token: u32, taken: u32) -> bool {
    if params.experts == 0u {
        return true;
    }
    slot = taken;
    return has_expert(u32(route[token * params.route_cols + taken]));
}
#endif
