// The positions that a row sees, cut into pieces: see `Pieces` in src/ops/kernel.rs. The first
// piece begins with a block. How long they are depends on no other row of the step, so that sums
// are added in the same order whatever rows a step has.
#import step
#import seen

// Most positions from the first piece's begin to `end`, that of what a row sees.
fn span(end: u32) -> u32 {
    let window = min(end, params.window);
    return min(end, select(2u * window - min(window, 1u), window, CAUSAL == 1u) + KV_BLOCK);
}

fn piece_length(row: Row) -> u32 {
    let even = (span(end_position(row)) + params.pieces - 1u) / params.pieces;
    return max(1u, (even + params.split - 1u) / params.split) * params.split;
}

// The pieces that there is room for; a row may see fewer.
fn piece_count() -> u32 {
    return min(params.pieces, (span(step.reach) + params.split - 1u) / params.split);
}

fn pieces_begin(row: Row) -> u32 {
    return first_position(row) / KV_BLOCK * KV_BLOCK;
}
