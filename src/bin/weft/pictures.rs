//! `--projector` and `--image`: pictures in a prompt.

use std::path::{Path, PathBuf};

use clap::Args;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};
use weft_llm::Result;
use weft_llm::format::ModelReader;
use weft_llm::inference::pictures::Content;
use weft_llm::inference::{LoadedDecoder, Loading};
use weft_llm::picture::Picture;

use super::files::{Files, io_error};
use super::options::invalid;
use super::{RunArgs, Source};

#[derive(Args)]
pub struct PictureArgs {
    /// The GGUF file of the model's projector (mmproj), which reads pictures.
    #[arg(long, value_name = "FILE", requires = "image")]
    projector: Option<PathBuf>,
    /// A picture, PNG or JPEG, for the next `<image>` of the prompt, or before the prompt of a
    /// chat. May be repeated.
    #[arg(long, value_name = "FILE", requires = "projector")]
    image: Vec<PathBuf>,
}

/// Pictures, and the file of their projector.
pub struct Pictures {
    projector: Option<PathBuf>,
    pictures: Vec<Picture>,
}

impl PictureArgs {
    /// Errors: `Io`; `InvalidOption` for what is not a picture, or one of too many pixels.
    pub fn read(self) -> Result<Pictures> {
        let pictures = self.image.iter().map(|path| read(path)).collect::<Result<_>>()?;
        Ok(Pictures { projector: self.projector, pictures })
    }
}

impl Pictures {
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// The prompt with the pictures in their places. The projector is loaded for as long.
    pub async fn place(&self, decoder: &LoadedDecoder, prompt: Vec<u32>, run: &RunArgs) -> Result<(Vec<u32>, Content)> {
        let Some(path) = &self.projector else { return Ok((prompt, Content::default())) };
        let files = Files::new(std::slice::from_ref(path), None)?;
        // what is said of the context is of the model
        let run = RunArgs { context: None, rope_scaling: None, rope_scale: None, kv_cache: None, ..run.clone() };
        let mut tower = run.load(&Projector(files)).await?;
        decoder.place(&prompt, &self.pictures, tower.encoder("see")?).await
    }
}

struct Projector(Files);

impl Source for Projector {
    fn reader(&self) -> Result<ModelReader> {
        Ok(ModelReader::of_projector())
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn feed(&self, loading: &mut Loading) -> Result<()> {
        Source::feed(&self.0, loading)
    }
}

/// The picture of a file, upright.
fn read(path: &Path) -> Result<Picture> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| io_error(&name, &error);
    let wrong = |error: ImageError| invalid("--image", "a picture in PNG or JPEG", format!("{name}: {error}"));
    let reader = ImageReader::open(path).map_err(failed)?.with_guessed_format().map_err(failed)?;
    let mut decoder = reader.into_decoder().map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    Picture::check_size(width as usize, height as usize)?;
    let orientation = decoder.orientation().map_err(wrong)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(wrong)?;
    picture.apply_orientation(orientation);
    let rgb = picture.into_rgb8();
    Picture::new(rgb.width() as usize, rgb.height() as usize, rgb.into_raw())
}
