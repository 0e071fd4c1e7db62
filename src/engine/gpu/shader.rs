//! The shaders' sources, and the preprocessor that turns them into the WGSL of a pipeline.
//!
//! WGSL has neither includes nor conditional compilation. The preprocessor adds only that, line by
//! line: `#import name` inserts `shaders/shared/name.wgsl`, once each; `#ifdef NAME`,
//! `#ifndef NAME`, `#else`, `#endif`. It also counts: each `@binding(next)` is the next slot,
//! beginning with 2. So a shader remains a readable file; nothing is assembled from strings. Sizes
//! of a variant are constants, declared before the first line.

use std::collections::BTreeSet;

use crate::{Error, Result};

macro_rules! embed {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, {
            const SOURCE: &[u8] = include_bytes!(concat!("../../../shaders/", $path, ".wgsl"));
            const CODE: [u8; strip(SOURCE, &mut [])] = {
                let mut code = [0; strip(SOURCE, &mut [])];
                strip(SOURCE, &mut code);
                code
            };
            match std::str::from_utf8(&CODE) {
                Ok(code) => code,
                Err(_) => panic!("a shader is no UTF-8"),
            }
        })),+]
    };
}

/// Writes a source without comments, indents and empty lines, if there is room for it, and returns
/// its length. Comments are two fifths of what a browser would fetch of the shaders.
const fn strip(source: &[u8], code: &mut [u8]) -> usize {
    let (mut at, mut len) = (0, 0);
    // whether the line has code, and whether the rest of it is a comment
    let (mut is_begun, mut is_comment) = (false, false);
    while at < source.len() {
        let byte = source[at];
        is_comment |= byte == b'/' && at + 1 < source.len() && source[at + 1] == b'/';
        let is_kept = match byte {
            b'\n' => is_begun,
            b' ' => is_begun && !is_comment,
            _ => !is_comment,
        };
        if is_kept {
            if len < code.len() {
                code[len] = byte;
            }
            len += 1;
        }
        is_begun = (is_begun || is_kept) && byte != b'\n';
        is_comment &= byte != b'\n';
        at += 1;
    }
    len
}

/// Every file in `shaders/`, by path without extension.
const SOURCES: &[(&str, &str)] = embed![
    "activate",
    "adjust",
    "alt_up",
    "attention",
    "attention_lane",
    "attention_merge",
    "attention_tile",
    "causal_convolve",
    "combine",
    "convolve",
    "delta_rule",
    "embed",
    "gather",
    "likely",
    "likely_blocks",
    "linear",
    "linear_block",
    "linear_block_int8",
    "linear_gathered",
    "linear_gathered_int8",
    "linear_rows",
    "linear_rows_tile",
    "linear_split",
    "linear_subgroup",
    "norm",
    "pick_columns",
    "pick_rows",
    "rescale",
    "round_f16",
    "round_int8",
    "rope_append",
    "route",
    "sample",
    "selective_scan",
    "sparsify",
    "wkv",
    "try_f16",
    "try_packed_dot",
    "try_subgroups",
    "shared/activation",
    "shared/attention",
    "shared/attention_rope",
    "shared/best",
    "shared/blocks",
    "shared/bytes",
    "shared/columns",
    "shared/experts",
    "shared/gathered",
    "shared/kv_read",
    "shared/lanes",
    "shared/linear",
    "shared/logit",
    "shared/matvec",
    "shared/parts",
    "shared/pieces",
    "shared/residual",
    "shared/rounding",
    "shared/rows",
    "shared/seen",
    "shared/signed_bytes",
    "shared/softplus",
    "shared/state_column",
    "shared/six_bits",
    "shared/small_bytes",
    "shared/step",
    "shared/tail",
    "shared/tile",
    "shared/weight",
    "shared/weight_bf16",
    "shared/weight_bytes",
    "shared/weight_codes",
    "shared/weight_e2m1",
    "shared/weight_f16",
    "shared/weight_f32",
    "shared/weight_factors",
    "shared/weight_five_bits",
    "shared/weight_groups",
    "shared/weight_iq4",
    "shared/weight_nibble_factors",
    "shared/weight_nibbles",
    "shared/weight_pairs",
    "shared/weight_plain",
    "shared/weight_quantised",
    "shared/weight_scales",
    "shared/weight_scales_bf16",
    "shared/weight_scales_e4m3",
    "shared/weight_signs",
    "shared/weight_six_bits",
    "shared/weight_small_bytes",
    "shared/weight_two_bits",
    "shared/weight_whole",
];

/// The WGSL of `shader` with `defines` set and `constants` declared.
///
/// Errors: [`Error::Internal`] for an unknown shader or import, a define that the shader does not
/// use, and unbalanced or unknown directives.
pub fn wgsl(shader: &'static str, defines: &[&str], constants: &[(&str, u32)]) -> Result<String> {
    let source =
        preprocess(shader, defines, |path| SOURCES.iter().find(|(name, _)| *name == path).map(|(_, source)| *source))?;
    // Directives come before all declarations. Native builds do not need that of subgroups, and
    // naga does not know it.
    let is_directive = |line: &&str| line.starts_with("enable ");
    let is_known = |line: &&str| cfg!(target_arch = "wasm32") || *line != "enable subgroups;";
    let directives = source.lines().filter(is_directive).filter(is_known);
    let declared = constants.iter().map(|(name, value)| format!("const {name} = {value}u;"));
    let body = source.lines().filter(|line| !is_directive(line)).map(|line| with_length(line, constants));
    Ok(directives.map(String::from).chain(declared).chain(body).fold(String::new(), |text, line| text + &line + "\n"))
}

/// The planes of a weight, and the constants that are their lengths where a kernel has these.
const PLANES: [(&str, &str); 2] = [("@binding(8)", "QUANTS_LENGTH"), ("@binding(9)", "SCALES_LENGTH")];

fn with_length(line: &str, constants: &[(&str, u32)]) -> String {
    let plane = PLANES.iter().find(|(slot, _)| line.contains(slot));
    let length = plane.filter(|(_, length)| constants.iter().any(|(name, _)| name == length));
    match (length, line.strip_suffix(">;")) {
        (Some((_, length)), Some(line)) => format!("{line}, {length}>;"),
        _ => line.into(),
    }
}

/// Slot of an operation's first storage buffer, after the step and the parameters.
const FIRST_BINDING: u32 = 2;

fn preprocess<'a>(shader: &'static str, defines: &[&str], source: impl Fn(&str) -> Option<&'a str>) -> Result<String> {
    let (imported, asked, out) = (BTreeSet::new(), BTreeSet::new(), String::new());
    let mut run = Run { defines, source, imported, asked, out, next_binding: FIRST_BINDING };
    run.file(shader).and_then(|()| run.check_defines()).map_err(|problem| Error::Internal {
        op: shader,
        expected: "a well-formed shader".into(),
        got: problem,
    })?;
    Ok(run.out)
}

struct Run<'a, 'd, S> {
    defines: &'d [&'d str],
    source: S,
    imported: BTreeSet<&'a str>,
    asked: BTreeSet<&'a str>,
    out: String,
    next_binding: u32,
}

impl<'a, S: Fn(&str) -> Option<&'a str>> Run<'a, '_, S> {
    fn file(&mut self, path: &str) -> Result<(), String> {
        let source = (self.source)(path).ok_or_else(|| format!("no file `{path}.wgsl`"))?;
        let mut open = Vec::new(); // one entry an open #ifdef: does its current branch hold?
        for (i, line) in source.lines().enumerate() {
            let at = |problem: &str| format!("{path}.wgsl:{}: {problem}: `{line}`", i + 1);
            let active = open.iter().all(|holds| *holds);
            let Some(directive) = line.trim_start().strip_prefix('#') else {
                if active {
                    self.line(line);
                }
                continue;
            };
            let (name, argument) = directive.split_once(' ').unwrap_or((directive, ""));
            let argument = argument.trim();
            match (name, argument) {
                ("ifdef" | "ifndef" | "import", "") => return Err(at("a name is missing")),
                ("ifdef" | "ifndef", define) => {
                    self.asked.insert(define);
                    open.push(self.defines.contains(&define) == (name == "ifdef"));
                }
                ("import", file) => {
                    if active && self.imported.insert(file) {
                        self.file(&format!("shared/{file}"))?;
                    }
                }
                ("else", "") => {
                    let holds = open.last_mut().ok_or_else(|| at("no open #ifdef"))?;
                    *holds = !*holds;
                }
                ("endif", "") => {
                    open.pop().ok_or_else(|| at("no open #ifdef"))?;
                }
                _ => return Err(at("unknown directive")),
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{path}.wgsl: #ifdef without #endif")) }
    }

    fn line(&mut self, line: &str) {
        match line.split_once("@binding(next)") {
            Some((before, after)) => {
                self.out.push_str(&format!("{before}@binding({}){after}", self.next_binding));
                self.next_binding += 1;
            }
            None => self.out.push_str(line),
        }
        self.out.push('\n');
    }

    /// A define that the shader does not use is a typing error in one of the two places.
    fn check_defines(&self) -> Result<(), String> {
        match self.defines.iter().find(|define| !self.asked.contains(*define)) {
            Some(define) => Err(format!("it never asks for `{define}`")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(defines: &[&str], main: &'static str) -> Result<String, String> {
        let source = |path: &str| match path {
            "main" => Some(main),
            "shared/a" => Some("a\n#import b\n"),
            "shared/b" => Some("b\n"),
            _ => None,
        };
        preprocess("main", defines, source).map_err(|error| error.to_string())
    }

    #[test]
    fn imports_come_once_and_in_place() {
        assert_eq!(run(&[], "1\n#import a\n#import b\n2").unwrap(), "1\na\nb\n2\n");
    }

    #[test]
    fn branches_nest() {
        let source = "#ifdef X\nx\n#ifndef Y\nno y\n#else\n#import b\n#endif\n#else\nno x\n  #endif\nend";
        assert_eq!(run(&[], &source.replace('Y', "X").leak()[..]).unwrap(), "no x\nend\n");
        assert_eq!(run(&["X"], source).unwrap(), "x\nno y\nend\n");
        assert_eq!(run(&["X", "Y"], source).unwrap(), "x\nb\nend\n");
        assert_eq!(run(&["Y"], source).unwrap(), "no x\nend\n");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (defines, source, problem) in [
            (&[][..], "1\n#import c", "no file `shared/c.wgsl`"),
            (&[], "1\n#else", "main.wgsl:2: no open #ifdef"),
            (&[], "#endif", "main.wgsl:1: no open #ifdef"),
            (&[], "#ifdef X\n", "#ifdef without #endif"),
            (&[], "#define X", "main.wgsl:1: unknown directive"),
            (&[], "#ifdef\n#endif", "main.wgsl:1: a name is missing"),
            (&[], "#ifdef X\n#endif X", "main.wgsl:2: unknown directive"),
            (&["Z"], "#ifdef X\n#endif", "never asks for `Z`"),
        ] {
            let error = run(defines, source).unwrap_err();
            assert!(error.contains(problem), "{source:?} gave {error}");
        }
    }

    #[test]
    fn planes_have_the_lengths_that_a_kernel_gives() {
        for (layout, planes) in [("F32", 1), ("Q4", 2), ("Q4K32", 2), ("NV4", 2)] {
            let source = |constants: &[_]| wgsl("linear", &[layout], constants).unwrap();
            let all = source(&[("QUANTS_LENGTH", 7), ("SCALES_LENGTH", 9)][..planes]);
            let sized: Vec<_> = all.lines().filter(|line| line.ends_with("_LENGTH>;")).collect();
            assert_eq!(sized.len(), planes, "{layout}: {sized:?}");
            assert!(!source(&[]).contains("_LENGTH"), "{layout}");
        }
    }

    #[test]
    fn sources_lose_comments_indents_and_empty_lines() {
        let source = b"// first\n\nlet a = b / c; // why\n    #ifdef X\n  // all\n}\n";
        let mut code = [0; strip(b"let a = b / c; \n#ifdef X\n}\n", &mut [])];
        assert_eq!(strip(source, &mut code), code.len());
        assert_eq!(code, *b"let a = b / c; \n#ifdef X\n}\n");
        assert!(SOURCES.iter().all(|(_, code)| !code.contains("//") && !code.contains("\n\n")));
    }

    #[test]
    fn every_file_is_embedded() {
        let mut files = Vec::new();
        for folder in ["", "shared/"] {
            for entry in std::fs::read_dir(format!("{}/shaders/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                files.extend(name.strip_suffix(".wgsl").map(|name| format!("{folder}{name}")));
            }
        }
        files.sort();
        let mut embedded: Vec<_> = SOURCES.iter().map(|(name, _)| *name).collect();
        embedded.sort_unstable();
        assert_eq!(embedded, files);
    }
}
