//! Families of GPUs, as browsers name them: they tell a vendor and an architecture, and no model.

use super::roofs::Rates;

/// GPUs that a browser gives the same vendor and architecture.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name for people.
    pub name: &'static str,
    /// `GPUAdapterInfo.vendor`; empty for the family of all.
    vendor: &'static str,
    /// What `GPUAdapterInfo.architecture` begins with.
    architecture: &'static str,
    /// The slowest of them that computers were sold with in numbers.
    pub slowest: Rates,
    /// The fastest.
    pub fastest: Rates,
}

/// `slowest`, `fastest`: GB/s of memory and TFLOP/s in f32. docs/COST.md says which of them have a
/// source; the others are assumed.
const fn family(
    name: &'static str,
    [vendor, architecture]: [&'static str; 2],
    slowest: (f64, f64),
    fastest: (f64, f64),
) -> Family {
    Family {
        name,
        vendor,
        architecture,
        slowest: Rates::published(slowest.0, slowest.1),
        fastest: Rates::published(fastest.0, fastest.1),
    }
}

/// The first that fits is taken, so a vendor's other GPUs come behind those with a name.
static FAMILIES: &[Family] = &[
    // GTX 1050 to GTX 1080 Ti
    family("NVIDIA Pascal", ["nvidia", "pascal"], (112.0, 1.9), (484.0, 11.3)),
    // GTX 1650 to RTX 2080 Ti
    family("NVIDIA Turing", ["nvidia", "turing"], (128.0, 3.0), (616.0, 13.4)),
    // RTX 3050 Laptop to RTX 3090 Ti
    family("NVIDIA Ampere", ["nvidia", "ampere"], (192.0, 4.3), (1008.0, 40.0)),
    // RTX 4050 Laptop to RTX 4090
    family("NVIDIA Ada Lovelace", ["nvidia", "lovelace"], (192.0, 8.9), (1008.0, 82.6)),
    // RTX 5050 to RTX 5090
    family("NVIDIA Blackwell", ["nvidia", "blackwell"], (320.0, 13.2), (1792.0, 104.8)),
    family("NVIDIA", ["nvidia", ""], (80.0, 1.1), (1792.0, 104.8)),
    // UHD Graphics 620 with one and with two channels of memory
    family("Intel Gen 9", ["intel", "gen-9"], (19.2, 0.4), (38.4, 0.5)),
    // Iris Xe with 80 and 96 units
    family("Intel Iris Xe", ["intel", "gen-12lp"], (51.2, 1.4), (68.3, 2.1)),
    // Arc A380 to A770
    family("Intel Arc A", ["intel", "gen-12hp"], (186.0, 4.2), (560.0, 19.7)),
    // Meteor Lake
    family("Intel Arc in a processor", ["intel", "xe-lpg"], (90.0, 3.7), (120.0, 4.8)),
    // Lunar Lake
    family("Intel Arc 130V and 140V", ["intel", "xe-2lpg"], (136.5, 3.3), (136.5, 4.2)),
    // Arc B570, B580
    family("Intel Arc B", ["intel", "xe-2hpg"], (380.0, 11.5), (456.0, 13.7)),
    family("Intel", ["intel", ""], (19.2, 0.4), (560.0, 19.7)),
    // Radeon Vega in processors to Radeon VII
    family("AMD Vega", ["amd", "gcn-5"], (38.4, 1.1), (1024.0, 13.4)),
    // RX 5300M to RX 5700 XT
    family("AMD RDNA 1", ["amd", "rdna-1"], (168.0, 4.1), (448.0, 9.8)),
    // Radeon 610M to RX 6950 XT
    family("AMD RDNA 2", ["amd", "rdna-2"], (83.2, 0.5), (576.0, 23.7)),
    // Radeon 740M to RX 7900 XTX
    family("AMD RDNA 3", ["amd", "rdna-3"], (89.6, 2.9), (960.0, 61.4)),
    // RX 9060 to RX 9070 XT
    family("AMD RDNA 4", ["amd", "rdna-4"], (288.0, 21.4), (640.0, 48.7)),
    family("AMD", ["amd", ""], (38.4, 0.5), (1024.0, 61.4)),
    // A14 to M3 Ultra; browsers call all of them `metal-3`
    family("Apple", ["apple", ""], (34.1, 1.0), (819.2, 28.2)),
    // Snapdragon 8 Gen 1 to X Elite
    family("Qualcomm Adreno 7", ["qualcomm", "adreno-7xx"], (51.2, 2.1), (135.0, 4.6)),
    family("Qualcomm Adreno", ["qualcomm", ""], (14.9, 0.3), (135.0, 4.6)),
    family("ARM Mali", ["arm", ""], (14.9, 0.1), (76.8, 3.4)),
    family("any GPU", ["", ""], (14.9, 0.1), (1792.0, 104.8)),
];

impl Family {
    /// The family of an adapter; an unknown one may be any GPU.
    pub fn of(vendor: &str, architecture: &str) -> Self {
        let fits =
            |family: &&Self| [vendor, ""].contains(&family.vendor) && architecture.starts_with(family.architecture);
        FAMILIES.iter().find(fits).copied().unwrap_or(FAMILIES[FAMILIES.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_the_first_name_that_fits() {
        for (vendor, architecture, name) in [
            ("nvidia", "lovelace", "NVIDIA Ada Lovelace"),
            ("nvidia", "hopper", "NVIDIA"),
            ("nvidia", "", "NVIDIA"),
            ("intel", "gen-12lp", "Intel Iris Xe"),
            ("intel", "gen-12hp", "Intel Arc A"),
            ("amd", "rdna-3", "AMD RDNA 3"),
            ("apple", "metal-3", "Apple"),
            ("qualcomm", "adreno-6xx", "Qualcomm Adreno"),
            ("", "", "any GPU"),
            ("imgtec", "rogue", "any GPU"),
        ] {
            assert_eq!(Family::of(vendor, architecture).name, name, "{vendor} {architecture}");
        }
    }

    /// docs/COST.md says where each figure comes from.
    #[test]
    fn the_document_has_every_family() {
        let text = include_str!("../../docs/COST.md");
        for family in FAMILIES {
            let rates = |Rates { bytes_per_second, flops }: Rates| {
                format!("{:.1} GB/s, {:.1} TFLOP/s", bytes_per_second / 1e9, flops / 1e12)
            };
            let row = format!("\n| {} | {} | {} | ", family.name, rates(family.slowest), rates(family.fastest));
            assert!(text.contains(&row), "{row}");
        }
    }

    #[test]
    fn nothing_is_outside_of_its_vendor_or_faster_than_the_fastest() {
        for family in FAMILIES {
            let of_vendor = Family::of(family.vendor, "");
            for all in [of_vendor, Family::of("", "")] {
                assert!(family.slowest.bytes_per_second >= all.slowest.bytes_per_second, "{}", family.name);
                assert!(family.fastest.bytes_per_second <= all.fastest.bytes_per_second, "{}", family.name);
                assert!(family.slowest.flops >= all.slowest.flops, "{}", family.name);
                assert!(family.fastest.flops <= all.fastest.flops, "{}", family.name);
            }
            assert!(family.slowest.bytes_per_second <= family.fastest.bytes_per_second, "{}", family.name);
            assert!(family.slowest.flops <= family.fastest.flops, "{}", family.name);
        }
    }
}
