import {
  AutoModelForCausalLM,
  AutoTokenizer,
  InterruptableStoppingCriteria,
  env,
} from '/runtime/peers/@huggingface/transformers/dist/transformers.web.min.js';

const ort = '/runtime/peers/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify';

export async function start({ engine, threads }) {
  const [device, dtype] = engine.split('-');
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = '/models/onnx/';
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.backends.onnx.wasm.wasmPaths = { mjs: `${ort}.mjs`, wasm: `${ort}.wasm` };
  env.backends.onnx.wasm.numThreads = threads;
  const tokenizer = await AutoTokenizer.from_pretrained(device);
  const model = await AutoModelForCausalLM.from_pretrained(device, { device, dtype });
  return {
    about: { threads: env.backends.onnx.wasm.numThreads },
    async chat(question, maxTokens, onToken) {
      const messages = [{ role: 'user', content: question }];
      const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true, return_dict: true });
      const stop = new InterruptableStoppingCriteria();
      let isPrompt = true;
      const streamer = {
        put([ids]) {
          if (!isPrompt && !onToken(tokenizer.decode(ids, { skip_special_tokens: true }))) stop.interrupt();
          isPrompt = false;
        },
        end() {},
      };
      const options = { do_sample: false, max_new_tokens: maxTokens, streamer, stopping_criteria: [stop] };
      await model.generate({ ...inputs, ...options });
    },
    async forget() {}, // every generate() begins from nothing
  };
}
