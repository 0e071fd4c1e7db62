// What `expert_linear` adds to `linear`: a token's rows are those of the experts that it goes to, one a slot. Slot j writes
// OUTPUTS columns from j · OUTPUTS on; with SLOT_INPUTS it also reads columns of its own.
@group(0) @binding(next) var<storage, read> route: array<f32>; // (tokens, ROUTE_COLS): the numbers of the experts come first

var<private> slot: u32;
var<private> first_weight_row: u32; // of the expert

// Whether the expert in a slot of a token is among those of this part of the weights, which start with FIRST_EXPERT.
fn take_expert(token: u32, taken: u32) -> bool {
    // one before this part wraps to a number beyond it
    let expert = u32(route[token * ROUTE_COLS + taken]) - FIRST_EXPERT;
    slot = taken;
    first_weight_row = expert * OUTPUTS;
    return expert < EXPERTS;
}
