// The rows of the step, a token each.
struct Row {
    id: u32,
    position: u32, // in its sequence
    // block · KV_BLOCK + position in the block: the place of its key and value in the KV cache
    slot: u32,
    table: u32, // where its sequence begins in `tables`
    wanted: u32, // number of the row that is wanted i-th, in row i; no row where there are fewer
}
@group(0) @binding(next) var<storage, read> rows: array<Row>;
