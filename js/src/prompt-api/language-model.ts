/** `LanguageModel` of the Prompt API, on top of a session of a loaded model. */

import { anyOf, untilAborted } from '../common/signals.js';
import { Lock } from '../session/lock.js';
import type { Llm } from '../types/index.js';
import type { Session } from '../types/session.js';
import { isGone, overflows, quotaExceeded, toDomException } from './errors.js';
import {
  checkConstraint,
  checkExpected,
  checkInput,
  checkSampling,
  checkThinking,
  complete,
  expectsPictures,
  PARAMS,
  withInstruction,
  type Input,
  type Sampling,
} from './input.js';
import { theModel } from './model.js';
import { monitorFor } from './monitor.js';
import { Tools } from './tools.js';
import type {
  Availability,
  LanguageModelCreateCoreOptions,
  LanguageModelCreateOptions,
  LanguageModelParams,
  LanguageModelPrompt,
  LanguageModelPromptOptions,
  SamplingMode,
} from './types.js';

/** Only `create` and `clone` make sessions. */
const OWN: unique symbol = Symbol('LanguageModel');

const UNCONFIGURED = 'no model: call configure({ model }) of weft-llm/prompt-api first';

interface Made {
  readonly llm: Llm;
  readonly session: Session;
  readonly sampling: Sampling;
  readonly tools: Tools;
  /** Whether prompts may hold pictures. */
  readonly sees: boolean;
}

export class LanguageModel extends EventTarget {
  /** Called when old turns were dropped, as for the event `contextoverflow`. */
  oncontextoverflow: ((event: Event) => void) | null = null;
  /** Older name of {@link LanguageModel.oncontextoverflow}, for the event `quotaoverflow`. */
  onquotaoverflow: ((event: Event) => void) | null = null;
  readonly #llm: Llm;
  readonly #sampling: Sampling;
  readonly #tools: Tools;
  readonly #sees: boolean;
  readonly #turns = new Lock();
  readonly #end = new AbortController();
  #session: Session;

  /** Always throws for apps: see {@link LanguageModel.create}. */
  constructor(own?: unknown, { llm, session, sampling, tools, sees }: Made = {} as Made) {
    super();
    if (own !== OWN) throw new TypeError('Illegal constructor: use LanguageModel.create()');
    this.#llm = llm;
    this.#session = session;
    this.#sampling = sampling;
    this.#tools = tools;
    this.#sees = sees;
    this.addEventListener('contextoverflow', (event) => this.oncontextoverflow?.(event));
    this.addEventListener('quotaoverflow', (event) => this.onquotaoverflow?.(event));
  }

  /** Tells whether a session with these options needs a download. */
  static async availability(options: LanguageModelCreateCoreOptions = {}): Promise<Availability> {
    try {
      checkCore(options);
    } catch (error) {
      if (error instanceof DOMException) return 'unavailable';
      throw error;
    }
    const model = theModel();
    if (expectsPictures(options) && !model?.sees) return 'unavailable';
    return model?.availability() ?? 'unavailable';
  }

  /** Defaults and limits of `temperature` and `topK`; null without a model. */
  static async params(): Promise<LanguageModelParams | null> {
    return theModel() ? { ...PARAMS } : null;
  }

  /** Loads the configured model unless an earlier session did, and computes the initial prompts. */
  static async create(options: LanguageModelCreateOptions = {}): Promise<LanguageModel> {
    const { initialPrompts = [], monitor: show, signal: given } = options;
    const { signal, release } = anyOf(given);
    try {
      signal.throwIfAborted();
      const model = theModel();
      if (!model) throw new DOMException(UNCONFIGURED, 'NotSupportedError');
      const { sampling, tools } = checkCore(options);
      const sees = expectsPictures(options);
      if (sees && !model.sees) {
        throw new DOMException(
          'the model was configured without a `projector`, which pictures need',
          'NotSupportedError',
        );
      }
      const messages = initialPrompts.length > 0 ? complete(checkInput(initialPrompts, { begun: false, sees })) : [];
      const monitor = monitorFor(show);
      const llm = await model.get(signal, (progress) => monitor.hear(progress));
      monitor.tell(1);
      if (!llm.info.hasChatTemplate) {
        throw new DOMException(`the model \`${llm.info.name}\` has no chat template`, 'NotSupportedError');
      }
      const rules = { messages, keep: messages.length, overflow: 'truncate-oldest-turns' } as const;
      // the effort `none`
      const { temperature, topK } = sampling;
      const session = llm.session({ ...rules, temperature, topK, tools: tools.descriptions, reasoning: 'off' });
      try {
        await session.append([], { signal });
      } catch (error) {
        signal.throwIfAborted();
        throw await failure(error, llm, session, { messages: [], prefix: '' });
      }
      const made = new LanguageModel(OWN, { llm, session, sampling, tools, sees });
      given?.addEventListener('abort', () => made.#end.abort(given.reason));
      return made;
    } catch (error) {
      signal.throwIfAborted();
      throw toDomException(error, 'OperationError');
    } finally {
      release();
    }
  }

  /** Null if `temperature` or `topK` was given. */
  get samplingMode(): SamplingMode | null {
    return this.#sampling.mode;
  }

  get temperature(): number {
    return this.#sampling.temperature;
  }

  get topK(): number {
    return this.#sampling.topK;
  }

  /** Tokens of the conversation. */
  get contextUsage(): number {
    return this.#session.contextUsage;
  }

  /** Maximum number of tokens. */
  get contextWindow(): number {
    return this.#llm.info.contextLength;
  }

  /** Older name of {@link LanguageModel.contextUsage}. */
  get inputUsage(): number {
    return this.contextUsage;
  }

  /** Older name of {@link LanguageModel.contextWindow}. */
  get inputQuota(): number {
    return this.contextWindow;
  }

  async prompt(input: LanguageModelPrompt, options: LanguageModelPromptOptions = {}): Promise<string> {
    let text = '';
    await this.#answer(input, options, (piece) => (text += piece), undefined);
    return text;
  }

  /** Answers a prompt; streams the pieces of the answer. */
  promptStreaming(input: LanguageModelPrompt, options: LanguageModelPromptOptions = {}): ReadableStream<string> {
    const left = new AbortController();
    return new ReadableStream<string>({
      start: (controller) => {
        this.#answer(input, options, (piece) => controller.enqueue(piece), left.signal)
          .then(() => controller.close())
          // has no effect if nothing reads the stream any more
          .catch((error: unknown) => controller.error(error));
      },
      cancel: () => left.abort(),
    });
  }

  /** Adds messages and computes them without an answer. */
  async append(input: LanguageModelPrompt, options: { signal?: AbortSignal } = {}): Promise<void> {
    const prepare = (begun: boolean) => ({
      messages: complete(checkInput(input, { begun, sees: this.#sees })),
      prefix: '',
    });
    await this.#attempt(prepare, [options.signal], (attempt, { messages }, signal) =>
      attempt.append(messages, { signal }),
    );
  }

  /** Counts the tokens that a prompt would take, including the start of its answer. */
  async measureContextUsage(input: LanguageModelPrompt, options: LanguageModelPromptOptions = {}): Promise<number> {
    const { signal, release } = anyOf(this.#end.signal, options.signal);
    try {
      signal.throwIfAborted();
      const instruction = checkConstraint(options)?.instruction ?? '';
      const checked = withInstruction(
        checkInput(input, { begun: this.#session.messages.length > 0, sees: this.#sees }),
        instruction,
      );
      return await this.#session.measure(checked.messages, { prefix: checked.prefix });
    } catch (error) {
      signal.throwIfAborted();
      throw await failure(error, this.#llm, this.#session, undefined);
    } finally {
      release();
    }
  }

  /** Older name of {@link LanguageModel.measureContextUsage}. */
  measureInputUsage(input: LanguageModelPrompt, options: LanguageModelPromptOptions = {}): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  /** Returns a second session that continues from here. */
  async clone({ signal }: { signal?: AbortSignal } = {}): Promise<LanguageModel> {
    this.#end.signal.throwIfAborted();
    signal?.throwIfAborted();
    const made = { llm: this.#llm, sampling: this.#sampling, tools: this.#tools, sees: this.#sees };
    return new LanguageModel(OWN, { ...made, session: this.#session.fork() });
  }

  /** Ends the session; later calls fail. The model stays loaded: see `configure`. */
  destroy(): void {
    this.#end.abort(new DOMException('the session was destroyed', 'AbortError'));
  }

  async #answer(
    input: LanguageModelPrompt,
    options: LanguageModelPromptOptions,
    emit: (piece: string) => void,
    left: AbortSignal | undefined,
  ): Promise<void> {
    const prepare = (begun: boolean) => {
      checkThinking(options.thinking);
      return withInstruction(
        checkInput(input, { begun, sees: this.#sees }),
        checkConstraint(options)?.instruction ?? '',
      );
    };
    await this.#attempt(prepare, [options.signal, left], async (attempt, { messages, prefix }, signal) => {
      const response = checkConstraint(options);
      const constraint = response ? { constraint: response.constraint } : {};
      let turn = messages;
      let begin = prefix;
      for (let round = 0; ; round += 1) {
        const parser = this.#tools.parser(response !== undefined);
        let text = '';
        let whole = true;
        const told = (said: string) => {
          text += said;
          if (said) emit(said);
        };
        const pieces = attempt.send(turn, { prefix: begin, signal, ...constraint });
        for await (const piece of untilAborted(pieces, signal)) {
          whole = piece.finish?.fits ?? whole;
          const parts = parser ? parser.push(piece.text) : [{ type: 'text', text: piece.text } as const];
          if (parser && piece.finish) parts.push(...parser.end());
          for (const part of parts) if (part.type === 'text') told(part.text);
        }
        turn = await this.#tools.turnAfter(attempt.messages.at(-1), round, signal);
        begin = '';
        if (turn.length > 0) continue;
        if (response && !(whole && response.fits(text))) {
          throw new DOMException('the answer does not fit the responseConstraint: it was cut', 'SyntaxError');
        }
        return;
      }
    });
  }

  /**
   * Works on a fork that replaces the session at the end, so that a failed or stopped call leaves
   * no trace.
   */
  async #attempt(
    prepare: (begun: boolean) => Input,
    signals: readonly (AbortSignal | undefined)[],
    work: (attempt: Session, input: Input, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { signal, release } = anyOf(this.#end.signal, ...signals);
    let leave = () => {};
    let input: Input | undefined;
    try {
      leave = await this.#turns.acquire(signal);
      input = prepare(this.#session.messages.length > 0);
      const attempt = this.#session.fork();
      await work(attempt, input, signal);
      const dropped = attempt.dropped.messages > this.#session.dropped.messages;
      this.#session = attempt;
      if (dropped) for (const name of ['contextoverflow', 'quotaoverflow']) this.dispatchEvent(new Event(name));
    } catch (error) {
      signal.throwIfAborted();
      throw await failure(error, this.#llm, this.#session, input);
    } finally {
      leave();
      release();
    }
  }
}

/** Throws as {@link checkExpected} does. */
function checkCore(options: LanguageModelCreateCoreOptions): { sampling: Sampling; tools: Tools } {
  checkExpected(options);
  return { sampling: checkSampling(options), tools: new Tools(options.tools) };
}

/** Converts an error. `input`: the input that failed. */
async function failure(error: unknown, llm: Llm, session: Session, input: Input | undefined): Promise<unknown> {
  if (isGone(error)) theModel()?.forget(llm);
  if (!input || !overflows(error)) return toDomException(error, 'UnknownError');
  const needed = session.contextUsage + (await session.measure(input.messages, { prefix: input.prefix }));
  const { contextLength } = llm.info;
  // a context that is full to the last token has no room for an answer
  return quotaExceeded(error.message, Math.max(needed, contextLength + 1), contextLength);
}
