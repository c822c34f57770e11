import { Autosuggest, Badge, Button, FormField, Link, SpaceBetween, Table } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { messageOf } from "../api/errors";
import { findGroup, usableGroupsQuery, type Group } from "../api/interface-groups";
import { text } from "../text/security-group-picker";

export interface SecurityGroupPickerProps {
  /** Groups that its interfaces may carry are offered. */
  vpcId: string;
  groups: Group[];
  onChange: (groups: Group[]) => void;
  /** Those that were there before: others are marked as added. */
  before?: Group[];
  errorText?: string | undefined;
}

/** SecurityGroupPicker is a list of groups, a search for others, and buttons that add and remove. */
export function SecurityGroupPicker({ vpcId, groups, onChange, before, errorText }: SecurityGroupPickerProps) {
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const looked = useDeferredValue(typed.trim());
  const answer = useQuery(usableGroupsQuery(vpcId, looked));
  const add = (g: Group) => {
    setTyped("");
    setProblem(undefined);
    if (groups.some((o) => o.id === g.id)) setProblem(text.already(g.name));
    else onChange([...groups, g]);
  };
  const addTyped = async () => {
    const wanted = typed.trim();
    if (!wanted) return;
    setBusy(true);
    try {
      const found = await findGroup(vpcId, wanted);
      if (found) add(found);
      else setProblem(text.unknown(wanted));
    } catch (error) {
      setProblem(messageOf(error));
    }
    setBusy(false);
  };
  const offered = (answer.data ?? []).filter((g) => !groups.some((o) => o.id === g.id));
  const error = problem ?? errorText;
  return (
    <SpaceBetween size="m">
      <FormField
        label={text.field}
        {...(error ? { errorText: error } : {})}
        secondaryControl={
          <Button formAction="none" onClick={() => void addTyped()} loading={busy} disabled={!typed.trim()}>
            {text.add}
          </Button>
        }
      >
        <Autosuggest
          value={typed}
          onChange={(e) => {
            setTyped(e.detail.value);
            setProblem(undefined);
          }}
          onSelect={(e) => {
            const chosen = offered.find((g) => g.id === e.detail.value);
            if (chosen) add(chosen);
          }}
          onKeyDown={(e) => {
            if (e.detail.key === "Enter") void addTyped();
          }}
          options={offered.map((g) => ({
            value: g.id,
            label: g.name,
            labelTag: g.id,
            ...(g.description ? { description: g.description } : {}),
          }))}
          filteringType="manual"
          enteredTextLabel={text.use}
          hideEnteredTextOption
          placeholder={text.placeholder}
          statusType={answer.isError ? "error" : answer.isFetching && !answer.data ? "loading" : "finished"}
          loadingText={text.loading}
          errorText={answer.isError ? messageOf(answer.error) : ""}
          recoveryText={text.recovery}
          onLoadItems={() => {
            if (answer.isError) void answer.refetch();
          }}
          empty={text.noMatch}
        />
      </FormField>
      <Table
        variant="embedded"
        items={groups}
        trackBy="id"
        ariaLabels={{ tableLabel: text.table }}
        empty={text.none}
        columnDefinitions={[
          {
            id: "name",
            header: text.name,
            cell: (g) => (
              <>
                {g.name} {before && !before.some((b) => b.id === g.id) && <Badge color="green">{text.added}</Badge>}
              </>
            ),
            isRowHeader: true,
            minWidth: 120,
          },
          {
            id: "id",
            header: text.id,
            cell: (g) => <Link href={`#/SecurityGroups/${g.id}`}>{g.id}</Link>,
            minWidth: 190,
          },
          {
            id: "remove",
            header: text.remove,
            cell: (g) => (
              <Button
                formAction="none"
                wrapText={false}
                ariaLabel={text.removeOf(g.name)}
                onClick={() => {
                  setProblem(undefined);
                  onChange(groups.filter((o) => o.id !== g.id));
                }}
              >
                {text.remove}
              </Button>
            ),
            width: 150,
            minWidth: 150,
          },
        ]}
      />
    </SpaceBetween>
  );
}
