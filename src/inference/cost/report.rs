//! Costs as Markdown, for people and for docs/COST.md.

use std::fmt::Write;

use super::{Counts, ModelCost, OperationCost, StepCost};

/// Name and text of a figure.
type Figure = (&'static str, fn(&StepCost) -> String);

/// A number with three digits or more, and a unit for thousands of thousands.
fn short(number: u64) -> String {
    let (mut rest, mut unit) = (number as f64, 0);
    while rest >= 999.5 && unit < 4 {
        (rest, unit) = (rest / 1000.0, unit + 1);
    }
    let digits = if unit == 0 || rest >= 99.95 {
        0
    } else if rest >= 9.995 {
        1
    } else {
        2
    };
    let unit = ["", " k", " M", " G", " T"][unit];
    format!("{rest:.digits$}{unit}")
}

fn milliseconds(seconds: f64) -> String {
    let digits = if seconds < 0.1 { 2 } else { 0 };
    format!("{:.digits$}", 1e3 * seconds)
}

impl ModelCost {
    /// The costs as tables.
    pub fn report(&self) -> String {
        let Self { name, quantization, profile, about, shaders, prompt_tokens, position, kv, .. } = self;
        let mut text = format!("{name}, {quantization}, keys and values in {}.\n\n", kv.name());
        let _ = writeln!(text, "Shaders: profile `{profile}`,\n{about}.\n");
        shaders.iter().for_each(|shaders| text += &format!("- {shaders}\n"));
        text.push('\n');
        let _ = writeln!(text, "| | a prompt of {prompt_tokens} | a token at {position} |\n|---|---:|---:|");
        let rows: [Figure; 10] = [
            ("dispatches", |step| step.sum.dispatches.to_string()),
            ("dispatches of a step per layer", |step| format!("{:.2}", step.dispatches_per_layer)),
            ("submits", |step| step.submits.to_string()),
            ("bytes of weights", |step| short(step.sum.weight_bytes)),
            ("bytes of keys and values", |step| short(step.sum.kv_bytes)),
            ("bytes of activations", |step| short(step.sum.activation_bytes)),
            ("the same, by every invocation", |step| short(step.sum.lane_activation_bytes)),
            ("multiply-adds", |step| short(step.sum.multiply_adds)),
            ("workgroups", |step| short(step.sum.workgroups)),
            ("fewest busy workgroups of a matrix", |step| step.least_workgroups.to_string()),
        ];
        for (what, of) in rows {
            let _ = writeln!(text, "| {what} | {} | {} |", of(&self.prompt), of(&self.decode));
        }
        let memory = self.memory;
        let parts = [memory.weights, memory.kv, memory.activations, memory.programs].map(short);
        let [weights, kv, activations, programs] = parts;
        let _ = writeln!(
            text,
            "\n{} pipelines. {} bytes of memory: weights {weights}, keys and values {kv}, activations {activations}, \
             programs {programs}.",
            self.pipelines,
            short(self.memory_bytes),
        );
        for (what, step) in [("prompt", &self.prompt), ("token", &self.decode)] {
            text += &operations(what, step);
        }
        text + &self.roofs()
    }

    fn roofs(&self) -> String {
        let mut text = String::from(
            "\nMilliseconds at the roofs: weights, keys and values from memory / multiply-adds / dispatches.\n\n| | prompt | token |\n|---|---:|---:|\n",
        );
        for ((gpu, prompt), (_, token)) in self.prompt.roofs.iter().zip(&self.decode.roofs) {
            let [prompt, token] = [prompt, token].map(|roof| {
                [roof.memory_seconds, roof.arithmetic_seconds, roof.dispatch_seconds].map(milliseconds).join(" / ")
            });
            let _ = writeln!(text, "| {gpu} | {prompt} | {token} |");
        }
        text
    }
}

fn operations(what: &str, step: &StepCost) -> String {
    let mut text = format!(
        "\n| {what} | dispatches | weights | keys, values | activations | by invocations | multiply-adds |\n\
         |---|---:|---:|---:|---:|---:|---:|\n"
    );
    for operation in &step.operations {
        let &OperationCost { name, sum } = operation;
        let Counts { dispatches, weight_bytes, kv_bytes, activation_bytes, lane_activation_bytes, .. } = sum;
        let figures = [weight_bytes, kv_bytes, activation_bytes, lane_activation_bytes, sum.multiply_adds];
        let figures = figures.map(|figure| if figure == 0 { "–".into() } else { short(figure) }).join(" | ");
        let _ = writeln!(text, "| {name} | {dispatches} | {figures} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_keep_three_digits() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.00 k"),
            (12_345, "12.3 k"),
            (999_499, "999 k"),
            (999_600, "1.00 M"),
            (2_199_023_255_552, "2.20 T"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
