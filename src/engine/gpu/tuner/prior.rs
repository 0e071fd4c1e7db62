//! What is expected to win on a kind of GPU. A race overrules it only by a clear difference.
//!
//! The orders come from reading, not from measurements of each kind. Subgroups of 32 lanes and more
//! are those of NVIDIA, AMD, Apple and Qualcomm; Intel's are smaller and prefer more rows a
//! workgroup. Others' engines multiply prompts in eight bits by default where GPUs have an
//! instruction for products of four bytes, which Apple's lack: there f16 halves what a tile takes
//! of registers. GPUs of phones have the fewest registers, hence smaller tiles first.

/// Who made a GPU, in lower case as `GPUAdapterInfo.vendor` has it, by its PCI id.
pub(in crate::engine::gpu) fn vendor(id: u32) -> &'static str {
    match id {
        0x10de => "nvidia",
        0x1002 => "amd",
        0x8086 => "intel",
        0x106b => "apple",
        0x5143 => "qualcomm",
        0x13b5 => "arm",
        _ => "",
    }
}

/// Names of variants of all kinds, the likeliest winner first; the order of the tables decides
/// about the rest. `lanes`: fewest of a subgroup, 1 if a GPU has subgroups and does not tell; 0: it
/// has none.
pub(super) fn order(family: &[String; 2], lanes: u32) -> Vec<&'static str> {
    let vendor = family[0].as_str();
    // browsers do not always tell
    let lanes = match vendor {
        "nvidia" | "amd" | "apple" | "qualcomm" if lanes > 0 => lanes.max(32),
        _ => lanes,
    };
    let one_token: &[_] = match lanes {
        32.. => &[
            "16 rows by 32 invocations in subgroups",
            "8 rows by 32 invocations in subgroups",
            "32 rows by 16 invocations in subgroups",
            "16 rows by 32 invocations",
        ],
        1..32 => &["32 rows by 16 invocations in subgroups", "16 rows by 16 invocations", "32 rows by 8 invocations"],
        0 => &["16 rows by 32 invocations", "16 rows by 16 invocations", "32 rows by 8 invocations"],
    };
    let (tile, tall) = ("64 rows, 128 tokens a workgroup", "32 rows, 256 tokens a workgroup");
    let many_tokens: &[_] = match vendor {
        "apple" => &[tile, "64 rows, 128 tokens a workgroup in 16 bits", "64 queries a workgroup"],
        "qualcomm" | "arm" | "imgtec" => &[
            "64 rows, 64 tokens a workgroup",
            "64 rows, 64 tokens a workgroup in 8 bits",
            "32 queries a workgroup",
            "64 queries a workgroup",
        ],
        _ if rounds(family) => &["32 rows, 256 tokens a workgroup in 8 bits", tall, tile, "64 queries a workgroup"],
        _ => &[tall, tile, "32 rows, 256 tokens a workgroup in 8 bits", "64 queries a workgroup"],
    };
    [one_token, many_tokens].concat()
}

/// Architectures of these vendors that lack an instruction for products of four bytes, or where it
/// is in some GPUs only.
const WITHOUT_DOTS: [&str; 7] = ["gcn-", "rdna-1", "gen-7", "gen-8", "gen-9", "gen-11", "maxwell"];

/// Whether a prompt is likely to be read faster with rounded activations, and by enough.
fn rounds([vendor, architecture]: &[String; 2]) -> bool {
    ["nvidia", "amd", "intel"].contains(&vendor.as_str())
        && !WITHOUT_DOTS.iter().any(|without| architecture.starts_with(without))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::variants::{ATTEND_MANY, MATMUL, MATMUL_ROUNDED, MATVEC};

    fn of(vendor: &str, lanes: u32) -> Vec<&'static str> {
        order(&[vendor.into(), String::new()], lanes)
    }

    #[test]
    fn every_name_is_of_a_variant() {
        let linear = [MATVEC, MATMUL, MATMUL_ROUNDED].into_iter().flatten().map(|variant| variant.name);
        let names: Vec<&str> = linear.chain(ATTEND_MANY.iter().map(|variant| variant.name)).collect();
        for vendor in ["nvidia", "intel", "apple", "arm", ""] {
            for lanes in [0, 1, 8, 32, 64] {
                let order = of(vendor, lanes);
                assert!(order.iter().all(|name| names.contains(name)), "{vendor} {lanes}: {order:?}");
            }
        }
    }

    #[test]
    fn a_gpu_that_hides_its_lanes_has_those_of_its_vendor() {
        assert_eq!(of("nvidia", 1), of("nvidia", 32));
        assert_eq!(of("intel", 1), of("intel", 8));
        assert_ne!(of("nvidia", 1), of("nvidia", 0));
    }

    #[test]
    fn activations_are_rounded_where_products_of_bytes_are_fast() {
        let rounds = |vendor: &str, architecture: &str| rounds(&[vendor.into(), architecture.into()]);
        assert!(rounds("nvidia", "lovelace") && rounds("intel", "gen-12lp") && rounds("nvidia", ""));
        assert!(!rounds("intel", "gen-9") && !rounds("amd", "gcn-5") && !rounds("apple", "metal-3") && !rounds("", ""));
    }
}
