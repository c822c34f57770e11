import { Autosuggest, type AutosuggestProps, Select, TokenGroup } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import type { ClipboardEvent } from "react";
import { messageOf } from "../../api/errors";
import { callerAddress, groupSuggestions, listSuggestions, useDebounced, type Named } from "../../api/rule-edits";
import { text } from "../../text/rule-editor";
import { afterClick } from "./after-click";
import { isPeer, self, splitPeers, world4, world6, type PeerKind, type Row, type RowPart } from "./rows";

export interface PeersFieldProps {
  row: Row;
  vpcId: string;
  /** Of groups and prefix lists, by id. */
  names: Record<string, string>;
  /** The rule may name the group that is about to be created. */
  offerSelf: boolean;
  onChange: (part: RowPart) => void;
  onTouch: () => void;
}

const kinds: PeerKind[] = ["custom", "anywhere4", "anywhere6", "mine"];
const options = kinds.map((k) => ({ value: k, label: text.kinds[k] }));

/** PeersField is the cell of a row that says from where, or where to: the kind, and one or many peers as chips. */
export function PeersField({ row, vpcId, names, offerSelf, onChange, onTouch }: PeersFieldProps) {
  const mine = useQuery({ ...callerAddress(), enabled: false, staleTime: 60_000 });
  const add = (peers: string[]) => onChange((now) => ({ peers: [...new Set([...now.peers, ...peers])], typing: "" }));

  async function choose(kind: PeerKind) {
    switch (kind) {
      case "custom":
        return onChange({ kind, typing: "" });
      case "anywhere4":
        return onChange({ kind, peers: [world4], typing: "" });
      case "anywhere6":
        return onChange({ kind, peers: [world6], typing: "" });
      case "mine": {
        onChange({ kind, peers: [], typing: "" });
        const { data } = await mine.refetch();
        onChange({
          kind,
          peers: [
            ...(data?.Ipv4Address ? [`${data.Ipv4Address}/32`] : []),
            ...(data?.Ipv6Address ? [`${data.Ipv6Address}/128`] : []),
          ],
        });
      }
    }
  }

  // A browser takes the ends of lines out of what is pasted into one line.
  function paste(e: ClipboardEvent) {
    const peers = splitPeers(e.clipboardData.getData("text/plain"));
    if (peers.length < 2 || !peers.every(isPeer)) return;
    e.preventDefault();
    add(peers);
  }

  return (
    <div className="rule-peers">
      <div className="rule-peers-inputs">
        <Select
          ariaLabel={text.kind}
          options={options}
          selectedOption={options.find((o) => o.value === row.kind) ?? null}
          onChange={(e) => void choose(e.detail.selectedOption.value as PeerKind)}
          onBlur={() => row.kind !== "custom" && onTouch()}
          expandToViewport
        />
        {row.kind === "custom" && (
          <div onPaste={paste}>
            <PeerInput
              row={row}
              vpcId={vpcId}
              offerSelf={offerSelf}
              onType={(typing) => {
                const parts = typing.split(/[\s,;]+/);
                const whole = parts.slice(0, -1);
                if (!whole.length || !whole.every(isPeer)) return onChange({ typing });
                onChange({
                  peers: [...new Set([...row.peers, ...splitPeers(whole.join(" "))])],
                  typing: parts.at(-1) ?? "",
                });
              }}
              onChoose={add}
              onLeave={(suggested) => {
                const typed = row.typing.trim();
                const named = suggested.filter((s) => s.name === typed);
                onTouch();
                if (!typed) return;
                const peers = isPeer(typed) ? splitPeers(typed) : [named.length === 1 ? named[0]!.id : typed];
                afterClick(() => add(peers));
              }}
            />
          </div>
        )}
      </div>
      {row.kind === "mine" && row.peers.length === 0 && !mine.isFetching && (mine.error || mine.data) && (
        <span role="alert">
          {mine.error ? `${text.mineFailed} ${messageOf(mine.error)}` : (mine.data?.Message ?? text.mineUnknown)}
        </span>
      )}
      {row.peers.length > 0 && (
        <TokenGroup
          items={row.peers.map((p) => ({
            label: p === self ? text.itself : names[p] ? `${p} / ${names[p]}` : p,
            dismissLabel: text.removePeer(p),
          }))}
          limit={8}
          onDismiss={(e) => onChange({ kind: "custom", peers: row.peers.filter((_, i) => i !== e.detail.itemIndex) })}
        />
      )}
    </div>
  );
}

const option = (n: Named): AutosuggestProps.Option => ({
  value: n.id,
  label: n.name || n.id,
  labelTag: n.id,
  description: n.description,
});

/** blocksFor completes an address to the blocks that it is in, as EC2's console offers them. */
export function blocksFor(typed: string): string[] {
  const address = typed.trim();
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  if (v4) {
    const [, a, b, c] = v4;
    return [`${address}/32`, `${a}.${b}.${c}.0/24`, `${a}.${b}.0.0/16`, `${a}.0.0.0/8`];
  }
  if (/^[0-9a-f:]*:[0-9a-f:]*$/i.test(address) && address.length > 2) return [`${address}/128`, `${address}/64`];
  return [];
}

interface PeerInputProps {
  row: Row;
  vpcId: string;
  offerSelf: boolean;
  onType: (typing: string) => void;
  onChoose: (peers: string[]) => void;
  onLeave: (suggested: Named[]) => void;
}

function PeerInput({ row, vpcId, offerSelf, onType, onChoose, onLeave }: PeerInputProps) {
  const wanted = useDebounced(row.typing.trim());
  const groups = useQuery({ ...groupSuggestions(vpcId, wanted), enabled: vpcId !== "" });
  const lists = useQuery(listSuggestions());
  const blocks = blocksFor(row.typing);
  const has = (s: string) => s.toLowerCase().includes(row.typing.trim().toLowerCase());
  const fitting = (lists.data ?? []).filter((l) => has(l.id) || has(l.name));
  const itself = offerSelf && has(text.itself) ? [{ value: self, label: text.itself }] : [];
  const found = [...itself, ...(groups.data ?? []).map(option)];
  const suggestions: AutosuggestProps.OptionGroup[] = [
    { label: text.blocks, options: blocks.map((value) => ({ value })) },
    { label: text.groups, options: found },
    { label: text.lists, options: fitting.map(option) },
  ].filter((g) => g.options.length > 0);
  return (
    <Autosuggest
      placeholder={row.peers.length ? "" : text.peerPlaceholder}
      value={row.typing}
      options={suggestions}
      filteringType="manual"
      enteredTextLabel={text.use}
      hideEnteredTextOption={!isPeer(row.typing)}
      statusType={groups.isFetching ? "loading" : groups.error ? "error" : "finished"}
      loadingText={text.searching}
      errorText={text.searchFailed}
      recoveryText={text.again}
      empty={text.noneFound}
      onLoadItems={(e) => e.detail.firstPage && groups.error && void groups.refetch()}
      onChange={(e) => onType(e.detail.value)}
      onSelect={(e) => onChoose(e.detail.selectedOption ? [e.detail.value] : splitPeers(e.detail.value))}
      onBlur={() => onLeave([...(groups.data ?? []), ...(lists.data ?? [])])}
      expandToViewport
    />
  );
}
