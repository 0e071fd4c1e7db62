// What differs from one replay of a recording to the next.
struct Step {
    tokens: u32, // rows that this step has; a recording is made for a capacity that may be larger
    position: u32, // of the first token in the context
    random: u32, // the bits of a draw
    second: u32, // where the second of two segments begins, counted from the first token
}
@group(0) @binding(0) var<uniform> step: Step;
