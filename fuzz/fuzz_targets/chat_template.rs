//! Any template with any messages ends, in bounded memory and on a small stack.
#![no_main]

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{env, fs, thread};

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use weft_llm::Error;
use weft_llm::tokenizer::{ChatTemplate, Message, RenderOptions};

#[derive(Arbitrary, Debug)]
struct Input {
    messages: Vec<(String, String)>,
    now: Option<i64>,
    /// Comes last and so takes the rest of the bytes: dictionaries apply to it.
    source: String,
}

/// Stack of a page's worker.
const STACK_BYTES: usize = 1 << 20;

/// Units of a rendering × bytes that it may produce per unit.
const MAX_TEXT_BYTES: usize = 20_000_000 * 8;

fn render(Input { messages, now, source }: Input) {
    let template = match ChatTemplate::new(&source) {
        Ok(template) => template,
        Err(error) => return assert!(matches!(error, Error::ChatTemplate(_))),
    };
    let messages: Vec<Message> = messages.into_iter().map(|(role, content)| Message::new(role, content)).collect();
    let options = RenderOptions { add_generation_prompt: true, bos_token: "<s>", now, ..RenderOptions::default() };
    match template.render(&messages, &options) {
        Ok(text) => assert!(text.len() <= MAX_TEXT_BYTES),
        Err(error) => assert!(matches!(error, Error::ChatTemplate(_))),
    }
}

/// Starts a thread with the small stack. A panic in it aborts, as libFuzzer requires.
fn start() -> (Sender<Input>, Receiver<()>) {
    let (inputs, taken) = channel::<Input>();
    let (done, ended) = channel();
    let work = move || {
        for input in taken {
            render(input);
            if done.send(()).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    (inputs, ended)
}

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static RENDERER: RefCell<(Sender<Input>, Receiver<()>)> = RefCell::new(start()));
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    // A stack overflow ends the process before libFuzzer can save the input.
    fs::write(env::temp_dir().join("weft-fuzz-chat_template"), bytes).unwrap();
    RENDERER.with_borrow(|(inputs, ended)| {
        inputs.send(input).unwrap();
        ended.recv().unwrap();
    });
});
