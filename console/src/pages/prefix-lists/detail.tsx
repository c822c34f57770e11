import { Alert } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { prefixListQuery } from "../../api/network";
import { DetailPage } from "../../components/detail-page";
import { text } from "../../text/prefix-lists";
import { usePrefixListActions } from "./actions";
import { changing, failed } from "./columns";
import { modifyButton } from "./entries-table";
import { PrefixListFacts } from "./facts";
import { prefixListTabs } from "./tabs";

export default function PrefixListPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery({
    ...prefixListQuery(id),
    refetchInterval: (q) => (q.state.data?.PrefixLists?.some(changing) ? 1000 : false),
  });
  const list = answer.data?.PrefixLists?.[0];
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
      details={(l) => <PrefixListFacts list={l} />}
      tabs={prefixListTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
