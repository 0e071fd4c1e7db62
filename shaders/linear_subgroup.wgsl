// `linear` for one token, see shared/linear.wgsl: like linear_split, but the K_THREADS invocations
// that share ROWS rows add up their sums within the subgroup, without workgroup memory.
//
// If a subgroup is smaller than K_THREADS, the sums of its parts are added in workgroup memory.
// WGSL does not define which invocations form a subgroup. All known GPUs take neighbours, and the
// trial before use checks it.
enable subgroups;
#import matvec
#import parts

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
#ifdef EXPERTS
    if !take_expert(token, workgroup.z) {
        return;
    }
#endif
    let lane = index / K_THREADS;
    let k = index % K_THREADS;
    let first = (workgroup.x * LANES + lane) * OUTPUTS_PER_INVOCATION;
#ifdef RESIDUAL
    stage(workgroup.x, index);
#endif
    var sums: Sums;
    if first < params.outputs {
        for (var block = k; block < blocks(); block += K_THREADS) {
            add_block(&sums, first, token, block);
        }
    }
    let width = min(K_THREADS, subgroup_size); // invocations that add up within a subgroup
    for (var distance = width / 2u; distance > 0u; distance /= 2u) {
        for (var r = 0u; r < ROWS; r++) {
            sums.rows[r] += subgroupShuffleXor(sums.rows[r], distance);
        }
#ifdef NORM
        sums.squares += subgroupShuffleXor(sums.squares, distance);
#endif
    }
    if k % width == 0u {
        partial[index / width] = sums;
    }
    workgroupBarrier();

    // one result per invocation, or a pair
    let parts = K_THREADS / width;
    for (var task = index; task < LANES * ROWS / 2u; task += WORKGROUP) {
        finish(token, workgroup.x * LANES, task / (ROWS / 2u), task % (ROWS / 2u), parts);
    }
}
