import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { labelOf, vpcQuery } from "../../api/network";
import { DetailPage } from "../../components/detail-page";
import { text } from "../../text/vpcs";
import { useVpcActions } from "./actions";
import { VpcFacts } from "./facts";
import { vpcTabs } from "./tabs";

export default function VpcPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery(vpcQuery(id));
  const vpc = answer.data?.Vpcs?.[0];
  const actions = useVpcActions(vpc ? [vpc] : [], () => void navigate("/Vpcs"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/Vpcs" }}
      item={vpc}
      answer={answer}
      title={(v) => labelOf(v.VpcId, v)}
      menu={actions.menu}
      details={(v) => <VpcFacts vpc={v} />}
      tabs={vpcTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
