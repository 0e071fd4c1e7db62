// The matrix of a head in a recurrent state, WIDTH columns of HEIGHT values, of the operations in
// which a workgroup takes the rows of a sequence in turn. A column is in the registers of PARTS
// invocations, each with the same share of it. Shaders have `tables`, `rows`, `state` and
// `params.slot`, the values of a slot.
const NO_STATE = 0xffffffffu;
const LANES = 256u;
const PARTS = LANES / WIDTH;
const HELD = (HEIGHT + PARTS - 1u) / PARTS;

// What an invocation has of a column.
alias Column = array<f32, HELD>;

// Whether a row is the first one of its sequence in the step.
fn begins_sequence(row: u32) -> bool {
    if row == 0u {
        return true;
    }
    return rows[row - 1u].table != rows[row].table;
}

// Reads `held` values of a column, the first at `place` in a slot, unless the sequence is new.
fn load_column(column: ptr<function, Column>, sequence: u32, place: u32, held: u32) {
    let slot = tables[sequence - 2u];
    if slot == NO_STATE {
        return;
    }
    for (var i = 0u; i < held; i++) {
        (*column)[i] = state[slot * params.slot + place + i * WIDTH];
    }
}

// Writes them to the slot that the sequence has from now on.
fn store_column(column: ptr<function, Column>, sequence: u32, place: u32, held: u32) {
    let slot = tables[sequence - 1u];
    for (var i = 0u; i < held; i++) {
        state[slot * params.slot + place + i * WIDTH] = (*column)[i];
    }
}
