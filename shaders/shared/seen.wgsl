// The positions that a row sees: from the first to before the end.
#import rows
// a sequence: its length with this step, then its blocks
@group(0) @binding(next) var<storage, read> tables: array<u32>;

fn end_position(row: Row) -> u32 {
    return select(tables[row.table], row.position + 1u, CAUSAL == 1u);
}

fn first_position(row: Row) -> u32 {
    return max(end_position(row), params.window) - params.window;
}
