import { Alert } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { prefixListQuery } from "../../api/network";
import { associationsQuery, entriesQuery } from "../../api/prefix-lists";
import { Copyable, DetailPage } from "../../components/detail-page";
import { text } from "../../text/prefix-lists";
import { usePrefixListActions } from "./actions";
import { changing, failed, PrefixListState } from "./columns";
import { modifyButton } from "./entries-table";
import { prefixListTabs } from "./tabs";

export default function PrefixListPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery({
    ...prefixListQuery(id),
    refetchInterval: (q) => (q.state.data?.PrefixLists?.some(changing) ? 1000 : false),
  });
  const list = answer.data?.PrefixLists?.[0];
  const entries = useQuery({ ...entriesQuery(id, list?.Version ?? 0), enabled: list !== undefined }).data;
  const users = useQuery(associationsQuery(id)).data;
  const actions = usePrefixListActions(list ? [list] : [], () => void navigate("/PrefixLists"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/PrefixLists" }}
      item={list}
      answer={answer}
      title={(l) => `${l.PrefixListId} / ${l.PrefixListName}`}
      menu={actions.menu}
      actions={modifyButton(id)}
      notice={
        list &&
        failed(list) && (
          <Alert type="error" header={text.states[list.State!]}>
            {list.StateMessage}
          </Alert>
        )
      }
      facts={(l) => [
        { label: text.id, value: <Copyable value={l.PrefixListId} label={text.id} /> },
        { label: text.listName, value: <Copyable value={l.PrefixListName} label={text.listName} /> },
        { label: text.state, value: <PrefixListState list={l} /> },
        { label: text.arn, value: <Copyable value={l.PrefixListArn} label={text.arn} /> },
        { label: text.family, value: l.AddressFamily },
        { label: text.entryCount, value: entries?.length ?? "–" },
        { label: text.maxEntries, value: l.MaxEntries },
        { label: text.version, value: l.Version },
        { label: text.usedBy, value: users?.length ?? "–" },
        { label: text.owner, value: l.OwnerId },
      ]}
      tabs={prefixListTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
