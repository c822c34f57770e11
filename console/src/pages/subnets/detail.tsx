import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { labelOf, subnetQuery } from "../../api/network";
import { DetailPage } from "../../components/detail-page";
import { text } from "../../text/subnets";
import { useSubnetActions } from "./actions";
import { SubnetFacts } from "./facts";
import { subnetTabs } from "./tabs";

export default function SubnetPage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery(subnetQuery(id));
  const subnet = answer.data?.Subnets?.[0];
  const actions = useSubnetActions(subnet ? [subnet] : [], () => void navigate("/Subnets"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/Subnets" }}
      item={subnet}
      answer={answer}
      title={(s) => labelOf(s.SubnetId, s)}
      menu={actions.menu}
      details={(s) => <SubnetFacts subnet={s} />}
      tabs={subnetTabs}
    >
      {actions.dialog}
    </DetailPage>
  );
}
