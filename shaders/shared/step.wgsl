// What differs from one replay of a recording to the next, beside its rows (see rows.wgsl).
struct Step {
    tokens: u32, // rows that this step has; a recording is made for a capacity that may be larger
    reach: u32, // positions of the longest sequence, with those of this step
    random: u32, // the bits of a draw
    second: u32, // position at which the second of two segments begins
}
@group(0) @binding(0) var<uniform> step: Step;
