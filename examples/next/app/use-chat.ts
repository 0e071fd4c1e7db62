import { useEffect, useRef, useState } from 'react';
import { load, type Llm, type Progress, type Session } from 'weft-llm';

export interface Turn {
  role: 'user' | 'assistant';
  text: string;
}

export type Phase = 'idle' | 'loading' | 'answering' | 'done' | 'stopped';

/** A conversation. The first message loads the model, and unmounting frees it. */
export function useChat(model: () => string) {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [phase, setPhase] = useState<Phase>('idle');
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState('');
  const current = useRef<{ llm?: Llm; session?: Session; controller?: AbortController }>({});

  const stop = () => current.current.controller?.abort();

  useEffect(
    () => () => {
      stop();
      current.current.llm?.dispose();
      current.current = {};
    },
    [],
  );

  async function send(text: string) {
    const own = current.current;
    const { signal } = (own.controller = new AbortController());
    setPhase('loading');
    setError('');
    setTurns((before) => [...before, { role: 'user', text }, { role: 'assistant', text: '' }]);
    try {
      own.llm ??= await load({ model: model(), signal, onProgress: setProgress });
      // A small model says fewer strange things at a low temperature.
      own.session ??= own.llm.session({ overflow: 'truncate-oldest-turns', temperature: 0.2 });
      setPhase('answering');
      setProgress(null);
      for await (const piece of own.session.send(text, { signal })) {
        setTurns((before) => {
          const last = before.at(-1)!;
          return [...before.slice(0, -1), { ...last, text: last.text + piece.text }];
        });
      }
    } catch (error) {
      if (!signal.aborted) setError(error instanceof Error ? error.message : String(error));
    }
    // Of an answer that did not begin there is nothing to show.
    setTurns((before) => (before.at(-1)?.text === '' ? before.slice(0, -1) : before));
    setPhase(signal.aborted ? 'stopped' : 'done');
    setProgress(null);
  }

  return { turns, phase, progress, error, send, stop };
}
