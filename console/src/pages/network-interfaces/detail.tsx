import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { labelOf } from "../../api/network";
import { interfaceQuery } from "../../api/network-interfaces";
import { DetailPage, Facts } from "../../components/detail-page";
import { text } from "../../text/network-interfaces";
import { useInterfaceActions } from "./actions";
import { useInterfaceFacts } from "./facts";
import { interfaceTabs } from "./tabs";

export default function NetworkInterfacePage() {
  const id = useParams().id!;
  const navigate = useNavigate();
  const answer = useQuery(interfaceQuery(id));
  const eni = answer.data?.NetworkInterfaces?.[0];
  const facts = useInterfaceFacts(eni);
  const actions = useInterfaceActions(eni ? [eni] : [], () => void navigate("/NetworkInterfaces"));
  return (
    <DetailPage
      id={id}
      list={{ text: text.title, href: "#/NetworkInterfaces" }}
      item={eni}
      answer={answer}
      title={(e) => labelOf(e.NetworkInterfaceId, { Tags: e.TagSet })}
      menu={actions.menu}
      details={() => <Facts items={facts} />}
      tabs={(e) => interfaceTabs(e)}
    >
      {actions.dialog}
    </DetailPage>
  );
}
