//! The JSON that crosses into the module: any options and messages are refused, or the answer
//! conforms to them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_fuzz::support::tiny::Tiny;
use weft_fuzz::{CONTEXT, load, no_bug, run};
use weft_llm::engine::Device;
use weft_llm::format::BlockType;
use weft_llm::inference::{GenerateOptions, LoadedDecoder};
use weft_llm::tokenizer::Conversation;

const TEMPLATE: &str = "{% for message in messages %}{{ message.role }}:{{ message.content }}\n{% endfor %}";

fn decoder() -> LoadedDecoder {
    let tiny = Tiny::new(1, |_| BlockType::F32).meta("tokenizer.chat_template", TEMPLATE);
    load(&tiny.bytes(), Some(CONTEXT)).unwrap()
}

fuzz_target!(|json: &str| {
    let _ = serde_json::from_str::<Device>(json);
    // the first line is the options, the rest the conversation
    let (options, conversation) = json.split_once('\n').unwrap_or((json, ""));
    let Ok(options) = serde_json::from_str::<GenerateOptions>(options) else { return };
    let conversation: Conversation = serde_json::from_str(conversation).unwrap_or_default();
    thread_local!(static DECODER: std::cell::RefCell<LoadedDecoder> = decoder().into());
    DECODER.with_borrow_mut(|decoder| {
        let Some(mut ids) = no_bug(decoder.chat_prompt(&conversation, 0)) else { return };
        ids.truncate(CONTEXT + 1);
        let (stop, most) = (options.stop.clone(), options.max_tokens);
        let Some(generation) = no_bug(decoder.start(ids.clone(), options, 1)) else { return };
        let answer = no_bug(run(decoder, generation, 2 * CONTEXT));
        // Nothing is under way now.
        assert!(pollster::block_on(decoder.next(generation)).is_err());
        decoder.stop(generation);
        let Some(answer) = answer else { return };
        assert!(most != Some(0) || answer.is_empty());
        assert!(!stop.iter().any(|stop| answer.contains(stop)), "{answer:?} holds one of {stop:?}");
    });
});
