// A matrix product in workgroup memory, for `expert_linear` of many tokens: 64 rows of an expert by
// up to 32 slots that go to it per workgroup, four by four per invocation. Rows and slots of an
// invocation are a stride apart. What a tile of fewer slots does not need is left out, SLOT_LANES
// slots at a time.
const SLOT_LANES = K_THREADS; // invocations along the slots; LANES is along the rows
const TILE_ROWS = LANES * ROWS;
const TILE_SLOTS = SLOT_LANES * 4u;

struct Tile {
    expert: u32,
    first: u32, // place of its first slot
    slots: u32, // 0: past the last tile
}

fn tile_of(number: u32) -> Tile {
    let at = 3u * number;
    return Tile(u32(gathered[at]), u32(gathered[at + 1u]), u32(gathered[at + 2u]));
}

// Slot i of a tile, as token · chosen + slot of the token.
fn slot_of(tile: Tile, i: u32) -> u32 {
    return u32(gathered[3u * params.tiles + tile.first + i]);
}

// Start of a slot's row of x.
fn slot_x(taken: u32) -> u32 {
    return select(taken / params.chosen, taken, params.slot_inputs == params.chosen) * quads();
}

// The part of a block that an invocation fetches: half of the invocations fetch one row of the
// weight each, the others half a block of one slot each (WORKGROUP = 2 TILE_ROWS = 4 TILE_SLOTS).
struct Fetch {
    weights: bool,
    x: bool,
    task: u32, // index among the invocations that fetch the same kind
    row: u32, // of the weight
    half: u32,
    // position of the slot's first half block, in quads; slots past the last repeat it
    x_row: u32,
}

fn fetch_of(tile: Tile, rows: u32, index: u32) -> Fetch {
    let task = index % TILE_ROWS;
    let is_row = index < TILE_ROWS;
    let output = rows * TILE_ROWS + task % LANES * ROWS + task / LANES;
    let half = task % 2u;
    var fetch = Fetch(is_row && output < params.outputs, false, task, weight_row(output), half, 0u);
    if !is_row && task / 2u < slot_groups(tile) * SLOT_LANES {
        fetch.x = true;
        fetch.x_row = slot_x(slot_of(tile, min(task / 2u, tile.slots - 1u))) + 4u * half;
    }
    return fetch;
}

// Slots that each invocation has of a tile.
fn slot_groups(tile: Tile) -> u32 {
    return (tile.slots + SLOT_LANES - 1u) / SLOT_LANES;
}

// Finishes four rows of the slots of an invocation.
fn finish_all(tile: Tile, first: u32, slot_lane: u32, sums: mat4x4<f32>) {
    finish(tile, slot_lane, first, sums[0]);
    finish(tile, slot_lane + SLOT_LANES, first, sums[1]);
    finish(tile, slot_lane + 2u * SLOT_LANES, first, sums[2]);
    finish(tile, slot_lane + 3u * SLOT_LANES, first, sums[3]);
}

// Finishes four rows of slot i of a tile.
fn finish(tile: Tile, i: u32, first: u32, sums: vec4<f32>) {
    if i >= tile.slots {
        return;
    }
    var results = sums;
    if params.normalises == 1u {
        results *= inverse_rms(squares_of(2u * i) + squares_of(2u * i + 1u));
    }
    let taken = slot_of(tile, i);
    slot = taken % params.chosen;
    store_pair(taken / params.chosen, first, results.xy);
    store_pair(taken / params.chosen, first + 2u, results.zw);
}
