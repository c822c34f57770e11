import type { VpcPeeringConnection } from "@aws-sdk/client-ec2";
import { Alert, Button, SpaceBetween } from "@cloudscape-design/components";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { labelOf, peeringQuery } from "../../api/network";
import { DetailPage } from "../../components/detail-page";
import { text } from "../../text/peering-connections";
import { usePeeringActions } from "./actions";
import { changing, pending } from "./columns";
import { PeeringFacts } from "./facts";
import { peeringTabs } from "./tabs";

export default function PeeringConnectionPage() {
  const id = useParams().id!;
  const answer = useQuery({
    ...peeringQuery(id),
    refetchInterval: (q) => (q.state.data?.VpcPeeringConnections?.some(changing) ? 1000 : false),
  });
  const peering = answer.data?.VpcPeeringConnections?.[0];
  const actions = usePeeringActions(peering ? [peering] : []);
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/PeeringConnections" }}
      item={peering}
      answer={answer}
      title={(p) => labelOf(p.VpcPeeringConnectionId, p)}
      menu={actions.menu}
      notice={peering && <Notice peering={peering} onAnswer={actions.open} />}
      details={(p) => <PeeringFacts peering={p} />}
      tabs={peeringTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}

function Notice(props: { peering: VpcPeeringConnection; onAnswer: (answer: "accept" | "reject") => void }) {
  const { peering, onAnswer } = props;
  if (pending(peering)) {
    return (
      <Alert
        type="info"
        header={text.pending.title}
        action={
          <SpaceBetween direction="horizontal" size="xs">
            <Button onClick={() => onAnswer("reject")}>{text.actions.reject}</Button>
            <Button variant="primary" onClick={() => onAnswer("accept")}>
              {text.actions.accept}
            </Button>
          </SpaceBetween>
        }
      >
        {text.pending.until(peering.ExpirationTime?.toLocaleString() ?? "–")}
      </Alert>
    );
  }
  if (peering.Status?.Code === "failed") {
    return (
      <Alert type="error" header={text.failed.title}>
        {peering.Status.Message}. {text.failed.body}
      </Alert>
    );
  }
  return null;
}
