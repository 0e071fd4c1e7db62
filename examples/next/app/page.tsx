import { Chat } from './chat';

export default function Page() {
  return (
    <main>
      <h1>Chat</h1>
      <p>The model runs in this page. What you write stays on this device.</p>
      <Chat />
    </main>
  );
}
