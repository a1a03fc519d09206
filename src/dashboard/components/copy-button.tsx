// Copies a text, and says that it did. Where the browser has no clipboard (plain HTTP from another machine), it selects
// the text instead, so that the reader's own copy works.
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { say } from '../toasts.ts';
import { Button } from './button.tsx';

interface CopyButtonProps {
  readonly text: string;
  /** What is copied: "URL". */
  readonly what: string;
  readonly onUnable?: () => void;
}

const shownMs = 2_000;

export function CopyButton({ text, what, onUnable }: CopyButtonProps) {
  const isCopied = useSignal(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      onUnable?.();
      say(`Press Ctrl+C or ⌘C to copy the ${what}`);
      return;
    }
    isCopied.value = true;
    setTimeout(() => {
      isCopied.value = false;
    }, shownMs);
  };
  return (
    <Button
      icon={isCopied.value ? 'check' : 'copy'}
      label={isCopied.value ? `${what} copied` : `Copy the ${what}`}
      onClick={copy}
    >
      {isCopied.value ? 'Copied' : 'Copy'}
    </Button>
  );
}

/** A value to be copied, in full, with its button. */
export function CopyLine({ text, what }: { readonly text: string; readonly what: string }) {
  const shown = useRef<HTMLElement>(null);
  const select = (): void => {
    if (shown.current) getSelection()?.selectAllChildren(shown.current);
  };
  return (
    <div class="copy-line">
      <code ref={shown}>{text}</code>
      <CopyButton text={text} what={what} onUnable={select} />
    </div>
  );
}
