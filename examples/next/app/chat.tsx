'use client';

import { useRef, type FormEvent } from 'react';
import { useChat, type Phase } from './use-chat';

const smolLM = 'hf:bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf';
const model = () => new URLSearchParams(location.search).get('model') ?? smolLM;

const megabytes = (bytes: number) => Math.round(bytes / 1e6);

const words: Record<Phase, string> = {
  idle: '',
  loading: 'Loading the model…',
  answering: 'Answering…',
  done: 'Done.',
  stopped: 'Stopped.',
};

export function Chat() {
  const { turns, phase, progress, error, send, stop } = useChat(model);
  const busy = phase === 'loading' || phase === 'answering';
  const message = useRef<HTMLInputElement>(null);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    void send(message.current!.value);
    message.current!.value = '';
  }

  return (
    <>
      <div role="log" aria-label="Conversation" aria-busy={busy} tabIndex={0}>
        <div>
          {turns.map(({ role, text }, i) => (
            <p key={i} className={`turn ${role}`}>
              <span className="sr-only">{role === 'user' ? 'You: ' : 'Model: '}</span>
              {text || '…'}
            </p>
          ))}
        </div>
      </div>
      <p role="status" className={error && 'error'}>
        {error || words[phase]}
      </p>
      {progress && (
        <label className="loading">
          {megabytes(progress.loaded)} of {progress.total ? megabytes(progress.total) : '?'} MB
          <progress value={progress.total ? progress.loaded / progress.total : undefined} />
        </label>
      )}
      <form onSubmit={submit}>
        <label htmlFor="message">Message</label>
        <input id="message" ref={message} required autoComplete="off" />
        <button>Send</button>
        {busy && (
          <button
            type="button"
            className="stop"
            onClick={() => {
              stop();
              message.current!.focus(); // this button goes away
            }}
          >
            Stop
          </button>
        )}
      </form>
    </>
  );
}
