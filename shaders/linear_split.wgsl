// `linear` for one token, see shared/linear.wgsl: K_THREADS invocations share the blocks of ROWS
// rows and add up their sums in workgroup memory.
//
// This fills a GPU when a matrix has few rows. A workgroup has LANES × K_THREADS invocations and
// computes LANES · ROWS rows. In the row-major layout, neighbouring invocations share rows; in a
// tiled layout, they take neighbouring rows. Either way, neighbours read neighbouring memory.
#import matvec
#import parts

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
#ifdef EXPERTS
    if !take_expert(token, workgroup.z) {
        return;
    }
#endif
    let tiled = ROW_TILE > 1u;
    let lane = select(index / K_THREADS, index % LANES, tiled);
    let k = select(index % K_THREADS, index / LANES, tiled);
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
    partial[lane * K_THREADS + k] = sums;
    workgroupBarrier();

    // one result per invocation, or a pair
    for (var task = index; task < LANES * ROWS / 2u; task += WORKGROUP) {
        finish(token, workgroup.x * LANES, task / (ROWS / 2u), task % (ROWS / 2u), K_THREADS);
    }
}
