// The positions that a token sees: from the first to before the end.
fn end_position(token: u32) -> u32 {
    return step.position + select(min(step.tokens, params.rows), token + 1u, CAUSAL == 1u);
}

fn first_position(token: u32) -> u32 {
    return max(end_position(token), WINDOW) - WINDOW;
}
