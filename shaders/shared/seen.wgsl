// The positions that a row sees: from the first to before the end.
#import rows
// a sequence: its length with this step, then its blocks
@group(0) @binding(next) var<storage, read> tables: array<u32>;

fn end_position(row: Row) -> u32 {
    let length = tables[row.table];
    return select(min(length, row.position + min(length, params.window)), row.position + 1u, CAUSAL == 1u);
}

fn first_position(row: Row) -> u32 {
    return max(row.position + 1u, params.window) - params.window;
}
