// The positions that a row sees: from the first to before the end. TARGET: only those behind the
// source text of its sequence; SOURCE: only those of it.
#import rows
// a sequence: the length of its source text, two slots, its length with this step, then its blocks
@group(0) @binding(next) var<storage, read> tables: array<u32>;

fn end_position(row: Row) -> u32 {
#ifdef SOURCE
    return tables[row.table - 3u];
#else
    let length = tables[row.table];
    return select(min(length, row.position + min(length, params.window)), row.position + 1u, CAUSAL == 1u);
#endif
}

fn first_position(row: Row) -> u32 {
#ifdef TARGET
    return tables[row.table - 3u];
#else
#ifdef SOURCE
    return 0u;
#else
    return max(row.position + 1u, params.window) - params.window;
#endif
#endif
}
