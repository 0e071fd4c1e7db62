// What differs from one replay of a recording to the next.
struct Step {
    tokens: u32, // rows that this step has; a recording is made for a capacity that may be larger
    position: u32, // of the first token in the context
    random: u32, // the bits of a draw
}
@group(0) @binding(0) var<uniform> step: Step;
