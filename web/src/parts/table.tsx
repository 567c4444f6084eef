// A table that scrolls inside itself on a narrow screen, so that the page never does.

import type { ComponentChildren } from "preact";

export function Table({ caption, head, children }: { caption: string; head: string[]; children: ComponentChildren }) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
            <table>
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        {head.map((name) => (
                            <th scope="col" key={name}>
                                {name}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>{children}</tbody>
            </table>
        </div>
    );
}

export function Empty({ columns, children }: { columns: number; children: ComponentChildren }) {
    return (
        <tr>
            <td colSpan={columns} class="empty">
                {children}
            </td>
        </tr>
    );
}
