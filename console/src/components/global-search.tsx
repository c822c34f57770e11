import { Autosuggest, type AutosuggestProps } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useLocation, useNavigate } from "react-router";
import { useSettled } from "../api/dry-run";
import { messageOf } from "../api/errors";
import { pathOf, searchQuery } from "../api/search";
import type { SearchHit } from "../api/sallyport_gen";
import { text } from "../text/search";

const suggested = 8;

/** GlobalSearch is the search of the top bar: the closest hits while one types, all of them with Enter. A slash, typed
 * outside of a field, puts the cursor there. */
export function GlobalSearch() {
  const navigate = useNavigate();
  const { pathname, search } = useLocation();
  const [typed, setTyped] = useState("");
  const input = useRef<AutosuggestProps.Ref>(null);
  const chosen = useRef(false);
  const field = useRef<HTMLDivElement>(null);
  const wanted = useSettled(typed.trim());
  const answer = useQuery(searchQuery(wanted, suggested));

  // The page of results shows its words here, too.
  const shown = pathname === "/Search" ? (new URLSearchParams(search).get("q") ?? "") : "";
  const [before, setBefore] = useState(shown);
  if (shown !== before) {
    setBefore(shown);
    setTyped(shown);
  }

  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
      const at = e.target instanceof HTMLElement ? e.target : document.body;
      if (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) || at.closest("[role=dialog]")) return;
      // The bar holds a second one, which nobody sees, to measure itself by.
      if (!field.current?.checkVisibility({ visibilityProperty: true })) return;
      e.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  const hits = wanted ? (answer.data?.Hits ?? []) : [];
  const matched = answer.data?.MatchedCount ?? 0;
  const all = (query: string) => void navigate(`/Search?${new URLSearchParams({ q: query }).toString()}`);
  const busy = wanted !== typed.trim() || answer.isFetching;
  return (
    <div ref={field}>
      <Autosuggest
        ref={input}
        value={typed}
        onChange={(e) => setTyped(e.detail.value)}
        // Enter may come before there is anything to choose from.
        onKeyDown={(e) => {
          if (e.detail.key !== "Enter" || !typed.trim()) return;
          chosen.current = false;
          setTimeout(() => {
            if (!chosen.current) all(typed.trim());
          });
        }}
        onSelect={(e) => {
          chosen.current = true;
          const hit = hits.find((h) => h.ResourceId === e.detail.value);
          if (hit) {
            setTyped("");
            void navigate(pathOf(hit));
          } else if (typed.trim()) {
            all(typed.trim());
          }
        }}
        options={groups(hits)}
        enteredTextLabel={() => (matched > 0 && !busy ? text.all(matched) : text.title)}
        filteringType="manual"
        placeholder={text.placeholder}
        ariaLabel={text.label}
        statusType={answer.isError ? "error" : busy && typed.trim() ? "loading" : "finished"}
        loadingText={text.searching}
        errorText={answer.error ? messageOf(answer.error) : text.failed}
        empty={typed.trim() ? text.nothing : null}
        expandToViewport
      />
    </div>
  );
}

// Hits of one type are together, the type of the closest first.
function groups(hits: SearchHit[]): AutosuggestProps.Options {
  const byType = new Map<string, SearchHit[]>();
  for (const h of hits) byType.set(h.ResourceType ?? "", [...(byType.get(h.ResourceType ?? "") ?? []), h]);
  return [...byType].map(([type, of]) => ({
    label: text.types[type] ?? type,
    options: of.map((h) => {
      const name = h.SecurityGroupName ?? h.Name;
      return {
        value: h.ResourceId!,
        label: name ? `${name} (${h.ResourceId})` : h.ResourceId!,
        ...(h.Reason ? { description: h.Reason } : {}),
      };
    }),
  }));
}
