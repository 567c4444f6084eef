// A question before an action, and what came of it. The browser's own dialog keeps the keyboard inside and gives the
// focus back.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { readNow } from "../live";

interface Question {
    title: string;
    detail: string;
    /** The word on the button: the action itself, and never "OK". */
    action: string;
    act: () => Promise<string>;
}

const question = signal<Question | null>(null);
/** What came of the last action. */
export const notice = signal<{ text: string; failed: boolean } | null>(null);

export function ask(asked: Question): void {
    question.value = asked;
}

async function act(asked: Question): Promise<void> {
    question.value = null;
    try {
        notice.value = { text: await asked.act(), failed: false };
    } catch (error) {
        notice.value = { text: error instanceof Error ? error.message : String(error), failed: true };
    }
    await readNow();
}

export function ActionDialog() {
    const dialog = useRef<HTMLDialogElement>(null);
    const asked = question.value;
    useEffect(() => {
        if (asked) dialog.current?.showModal();
        else dialog.current?.close();
    }, [asked]);
    return (
        <dialog ref={dialog} aria-labelledby="question" onClose={() => (question.value = null)}>
            {asked && (
                <form method="dialog" onSubmit={(event) => (event.preventDefault(), void act(asked))}>
                    <h2 id="question">{asked.title}</h2>
                    <p>{asked.detail}</p>
                    <div class="actions">
                        <button type="button" onClick={() => (question.value = null)}>
                            Cancel
                        </button>
                        <button type="submit" class="primary">
                            {asked.action}
                        </button>
                    </div>
                </form>
            )}
        </dialog>
    );
}

export function Notice() {
    const told = notice.value;
    return (
        <div class="notice" role="status">
            {told && (
                <p class={told.failed ? "bad" : "good"}>
                    {told.text}{" "}
                    <button type="button" onClick={() => (notice.value = null)}>
                        Close
                    </button>
                </p>
            )}
        </div>
    );
}
