// A client component, which Next also renders on the server, with the hook of docs/RECIPES.md.
'use client';

import { useEffect } from 'react';
import { useLlm } from './use-llm.jsx';

const options = { model: '/model.gguf', device: 'cpu', store: false };

export default function Page() {
  const { llm, progress, error } = useLlm(options);
  useEffect(() => {
    if (error) globalThis.result = { error: String(error) };
    if (llm) import('../../main.js');
  }, [llm, error]);
  return <p>{llm ? llm.info.name : `${progress?.loaded ?? 0} bytes`}</p>;
}
