// The rows of the step, a token each.
struct Row {
    id: u32,
    position: u32, // in its sequence
    slot: u32, // block · KV_BLOCK + position in the block: where the KV cache takes its key and value
    table: u32, // where its sequence begins in `tables`
    wanted: u32, // number of the row that is wanted i-th, in row i; no row where there are fewer
}
@group(0) @binding(next) var<storage, read> rows: array<Row>;
