// The positions that a row sees: from the first to before the end.
#import rows
@group(0) @binding(next) var<storage, read> tables: array<u32>; // a sequence: its length with this step, then its blocks

fn end_position(row: Row) -> u32 {
    return select(tables[row.table], row.position + 1u, CAUSAL == 1u);
}

fn first_position(row: Row) -> u32 {
    return max(end_position(row), WINDOW) - WINDOW;
}
