//! Pictures: resampled and cut as Pillow and transformers do it, and read by a tower and a decoder
//! as transformers does, see tests/fixtures/vision/README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::command::{Scratch, weft};
use crate::support;
use crate::support::agreement::difference;

use std::path::{Path, PathBuf};

use pollster::block_on;
use serde::Deserialize;
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::ModelReader;
use weft_llm::inference::pictures::Content;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, LoadedEncoder, LoadedModel, Loading};
use weft_llm::picture::{Filter, Picture, Tiling};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;

/// Largest difference of a logit, relative to the largest logit.
const TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    /// Width and height of the picture.
    size: [usize; 2],
    /// Lines and columns of its tiles.
    grid: [usize; 2],
    /// With one image token.
    ids: Vec<u32>,
    /// With all of them.
    expanded: Vec<u32>,
    /// Of the last positions: (positions, vocabulary)
    logits: Vec<Vec<f32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vision").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

fn golden() -> Vec<Prompt> {
    serde_json::from_slice::<Golden>(&bytes("reference.json")).unwrap().prompts
}

/// The picture of make.py.
fn picture(width: usize, height: usize) -> Picture {
    let value = |x: usize, y: usize, color: usize| ((3 * x * x + 5 * y + x * y + 71 * color) % 256) as u8;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| [0, 1, 2].map(|color| value(x, y, color))).collect();
    Picture::new(width, height, rgb).unwrap()
}

type Make = fn() -> Box<dyn Engine>;

const ENGINES: [(&str, Make); 3] = [
    ("reference", || Box::new(HostEngine::new(Reference))),
    ("cpu", || Box::new(HostEngine::new(Simd::default()))),
    ("gpu", || Box::new(support::gpu())),
];

fn decoder(make: Make) -> LoadedDecoder {
    let mut loading = Loading::new(make(), Some(512));
    loading.set_kv_format(Some(KvFormat::F32));
    block_on(loading.feed(&bytes("model.gguf"))).unwrap();
    block_on(loading.finish()).unwrap()
}

fn load_tower(make: Make, bytes: &[u8]) -> weft_llm::Result<LoadedModel> {
    let mut loading = Loading::with(make(), ModelReader::of_projector(), None);
    block_on(loading.feed(bytes))?;
    block_on(loading.finish_any())
}

#[test]
fn pictures_are_resampled_as_pillow_does_it() {
    let (source, expected) = (picture(23, 17), bytes("resampled.bin"));
    let mut rest = &expected[..];
    for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
        for (width, height) in [(40, 31), (7, 5), (23, 9), (11, 17), (61, 3), (1, 1)] {
            let (these, later) = rest.split_at(3 * width * height);
            let got = source.resampled(width, height, filter);
            let wrong = got.rgb.iter().zip(these).filter(|(a, b)| a != b).count();
            assert_eq!(wrong, 0, "{filter:?} to {width} × {height}: so many of {} values", these.len());
            rest = later;
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn pictures_are_cut_as_transformers_does_it() {
    let tiling = Tiling { tile: 24, longest: 72, mean: [0.5; 3], std: [0.5; 3] };
    let expected = bytes("tiles.bin");
    let mut rest = &expected[..];
    for Prompt { size: [width, height], grid, .. } in golden() {
        let tiles = tiling.tiles(&picture(width, height));
        assert_eq!(tiles.grid, grid, "{width} × {height}");
        assert_eq!(tiles.tiles.len(), grid[0] * grid[1] + 1);
        for (number, tile) in tiles.tiles.iter().enumerate() {
            let (these, later) = rest.split_at(3 * 24 * 24);
            assert!(tile.rgb == these, "tile {number} of {width} × {height}");
            rest = later;
        }
    }
    assert!(rest.is_empty());
    let whole = Tiling { longest: 24, ..tiling }.tiles(&picture(41, 29));
    assert_eq!((whole.grid, whole.tiles.len()), ([0, 0], 1));
}

#[test]
fn pictures_of_no_or_too_many_pixels_are_refused() {
    for (width, height) in [(0, 5), (5, 0), (1 << 20, 1 << 20), (usize::MAX, 2)] {
        let error = Picture::check_size(width, height).unwrap_err().to_string();
        assert!(error.contains("1 to 67108864 pixels"), "{error}");
    }
    assert!(Picture::new(2, 2, vec![0; 11]).unwrap_err().to_string().contains("12 values"));
}

#[test]
fn a_picture_gives_the_logits_of_transformers() {
    for (engine, make) in ENGINES {
        let (mut decoder, mut model) = (decoder(make), load_tower(make, &bytes("projector.gguf")).unwrap());
        let tower = model.encoder("see").unwrap();
        for Prompt { size: [width, height], ids, expanded, logits: expected, .. } in golden() {
            let case = format!("{width} × {height} on {engine}");
            let (ids, content) = block_on(decoder.place(&ids, &[picture(width, height)], tower)).unwrap();
            assert_eq!(ids, expanded, "{case}");
            let (mut rows, first) = (Vec::new(), ids.len() - expected.len());
            let each = |position: usize, logits: &[f32]| {
                if position >= first {
                    rows.push(logits.to_vec());
                }
            };
            block_on(decoder.logits_with(&ids, content, each)).unwrap();
            let far = difference(&rows, &expected);
            assert!(far < TOLERANCE, "{case}: {far:.1e}");
        }
    }
}

fn answer(decoder: &mut LoadedDecoder, ids: &[u32], content: Content) -> (Vec<u32>, usize) {
    let sampling = SamplingOptions { temperature: 0.0, ..SamplingOptions::default() };
    let options = GenerateOptions { max_tokens: Some(4), ignore_eos: true, sampling, ..GenerateOptions::default() };
    let id = decoder.start_with(ids.to_vec(), content, options, 0).unwrap();
    let cached = decoder.cached_tokens(id);
    let mut answer = Vec::new();
    loop {
        match block_on(decoder.next(id)).unwrap() {
            Event::Token { id, .. } => answer.push(id),
            Event::End { .. } => break,
            Event::Prompt { .. } => {}
        }
    }
    decoder.stop(id);
    (answer, cached)
}

/// The ids of two prompts are equal where their pictures are of one size.
#[test]
fn the_prefix_cache_tells_pictures_apart() {
    for (engine, make) in ENGINES {
        let (mut decoder, mut model) = (decoder(make), load_tower(make, &bytes("projector.gguf")).unwrap());
        let tower = model.encoder("see").unwrap();
        let prompt = &golden()[0].ids;
        let one = picture(41, 29);
        let mut other = one.clone();
        other.rgb.iter_mut().for_each(|value| *value = 255 - *value);
        let (ids, of_one) = block_on(decoder.place(prompt, &[one], tower)).unwrap();
        let (same, of_other) = block_on(decoder.place(prompt, &[other], tower)).unwrap();
        assert_eq!(ids, same);
        let (first, cached) = answer(&mut decoder, &ids, of_one.clone());
        assert_eq!(cached, 0, "{engine}");
        let (again, cached) = answer(&mut decoder, &ids, of_one.clone());
        assert_eq!((again, cached), (first.clone(), ids.len() - 1), "{engine}: the same picture");
        let (_, cached) = answer(&mut decoder, &ids, of_other);
        // three tokens, and two that say where the first tile is
        assert_eq!(cached, 5, "{engine}: another picture");
        let (_, cached) = answer(&mut decoder, &ids, Content::default());
        assert_eq!(cached, 5, "{engine}: no picture");
        let (last, _) = answer(&mut decoder, &ids, of_one);
        assert_eq!(last, first, "{engine}");
    }
}

/// A second question about a picture runs no dispatch of the tower.
#[test]
fn a_picture_is_looked_at_once() {
    let make = ENGINES[2].1;
    let (decoder, mut model) = (decoder(make), load_tower(make, &bytes("projector.gguf")).unwrap());
    let tower = model.encoder("see").unwrap();
    let prompt = &golden()[0].ids;
    let mut dispatches = |picture: &Picture| {
        let before = tower.engine().counters().dispatches;
        let (ids, _) = block_on(decoder.place(prompt, std::slice::from_ref(picture), tower)).unwrap();
        (ids, tower.engine().counters().dispatches - before)
    };
    let one = picture(41, 29);
    let (ids, first) = dispatches(&one);
    assert!(first > 0);
    assert_eq!(dispatches(&one), (ids.clone(), 0));
    let mut other = one.clone();
    other.rgb[7] ^= 1;
    assert_eq!(dispatches(&other), (ids, first));
    // a picture of the same values in another shape
    let turned = Picture::new(29, 41, one.rgb.clone()).unwrap();
    assert!(dispatches(&turned).1 > 0);
    assert_eq!(dispatches(&one).1, 0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let make = ENGINES[1].1;
    let (decoder, projector) = (decoder(make), bytes("projector.gguf"));
    let mut model = load_tower(make, &projector).unwrap();
    let tower = model.encoder("see").unwrap();
    let prompt = &golden()[0].ids;
    let says = |error: weft_llm::Error, text: &str| assert!(error.to_string().contains(text), "{error}");
    let place = |prompt: &[u32], pictures: &[Picture], tower: &mut LoadedEncoder| {
        block_on(decoder.place(prompt, pictures, tower)).err()
    };
    says(place(&[5, 6], &[picture(9, 9)], tower).unwrap(), "a picture for each of 0 `<image>`");
    says(place(prompt, &[], tower).unwrap(), "a picture for each of 1 `<image>`");
    // a decoder of another width
    let mut loading = Loading::new(make(), None);
    block_on(loading.feed(&bytes("../architectures/llama/model.gguf"))).unwrap();
    let other = block_on(loading.finish()).unwrap();
    let error = block_on(other.place(prompt, &[picture(9, 9)], tower)).unwrap_err();
    says(error, "rows of 32 values`; weft runs the projector that was made for this model, whose rows have 28");
    // a model where a projector is asked for, and the other way round
    says(
        load_tower(make, &bytes("model.gguf")).err().unwrap(),
        "general.architecture is `llama`; weft runs projectors",
    );
    let mut loading = Loading::new(make(), None);
    says(block_on(loading.feed(&projector)).unwrap_err(), "general.type is `mmproj`");
    // half of a file
    let mut loading = Loading::with(make(), ModelReader::of_projector(), None);
    block_on(loading.feed(&projector[..projector.len() / 2])).unwrap();
    assert!(block_on(loading.finish_any()).is_err());
    let error = model.into_decoder("generate").err().unwrap();
    says(error, "clip.vision");
}

#[test]
fn the_command_reads_a_picture() {
    let scratch = Scratch::new("vision");
    let path = |name: &str| scratch.0.join(name).to_str().unwrap().to_string();
    let Prompt { size: [width, height], ids, expanded, logits: expected, .. } = golden().remove(0);
    let Picture { rgb, .. } = picture(width, height);
    let file = scratch.0.join("picture.png");
    image::save_buffer(file, &rgb, width as u32, height as u32, image::ColorType::Rgb8).unwrap();
    let (model, projector) = (fixture("model.gguf"), fixture("projector.gguf"));
    let (model, projector) = (model.to_str().unwrap(), projector.to_str().unwrap());
    let listed = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let png = path("picture.png");
    let logits = |projector: &str, image: &str| {
        let of_model = ["logits", "-m", model, "--device", "cpu", "--kv", "f32", "--context", "512", "--ids", &listed];
        weft(&[&of_model[..], &["--projector", projector, "--image", image]].concat())
    };
    let (done, said) = logits(projector, &png);
    assert!(done, "{said}");
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(serde_json::from_value::<Vec<u32>>(answer["ids"].clone()).unwrap(), expanded);
    let got: Vec<Vec<f32>> = serde_json::from_value(answer["logits"].clone()).unwrap();
    assert!(difference(&got, &expected[expected.len() - 1..]) < TOLERANCE);

    let (done, said) = weft(&[
        "generate",
        "-m",
        model,
        "--device",
        "cpu",
        "--temp",
        "0",
        "-n",
        "4",
        "--projector",
        projector,
        "--image",
        &png,
        "-p",
        "the<image>in",
    ]);
    assert!(done, "{said}");
    // what is no picture, no projector, or goes with none
    std::fs::write(scratch.0.join("text.png"), "not a picture").unwrap();
    let refused = [
        (logits(projector, &path("text.png")), "a picture in PNG or JPEG"),
        (logits(projector, &path("none.png")), "none.png"),
        (logits(model, &png), "weft runs projectors"),
    ];
    for ((done, said), text) in refused {
        assert!(!done && said.contains(text), "{said}");
    }
}
