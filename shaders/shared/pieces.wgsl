// The positions that a row sees, cut into pieces: see `Pieces` in src/ops/kernel.rs. The first
// piece begins with a block.
#import step
#import seen

// Most positions from the first piece's begin to the end of what a row sees.
fn span() -> u32 {
    return min(step.reach, min(step.reach, WINDOW) + KV_BLOCK);
}

fn piece_length() -> u32 {
    let even = (span() + PIECES - 1u) / PIECES;
    return max(1u, (even + SPLIT - 1u) / SPLIT) * SPLIT;
}

// The pieces that there is room for; a row may see fewer.
fn piece_count() -> u32 {
    return (span() + piece_length() - 1u) / piece_length();
}

fn pieces_begin(row: Row) -> u32 {
    return first_position(row) / KV_BLOCK * KV_BLOCK;
}
