// The positions that a row sees, cut into pieces: see `Pieces` in src/ops/kernel.rs. The first
// piece begins with a block.
#import step
#import seen

// Most positions from the first piece's begin to the end of what a row sees.
fn span() -> u32 {
    return min(step.reach, min(step.reach, params.window) + KV_BLOCK);
}

fn piece_length() -> u32 {
    let even = (span() + params.pieces - 1u) / params.pieces;
    return max(1u, (even + params.split - 1u) / params.split) * params.split;
}

// The pieces that there is room for; a row may see fewer.
fn piece_count() -> u32 {
    return (span() + piece_length() - 1u) / piece_length();
}

fn pieces_begin(row: Row) -> u32 {
    return first_position(row) / KV_BLOCK * KV_BLOCK;
}
