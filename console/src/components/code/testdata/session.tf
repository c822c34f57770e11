resource "aws_vpc" "shop" {
  cidr_block = "10.7.0.0/16"
  tags = {
    Name = "shop"
  }
}

resource "aws_subnet" "subnet" {
  vpc_id     = aws_vpc.shop.id
  cidr_block = "10.7.1.0/24"
}

resource "aws_security_group" "web" {
  name        = "web"
  description = "Web servers: 1 & 2 $HOME"
  vpc_id      = aws_vpc.shop.id
  tags = {
    Name = "it's web"
    team = "$${shop} %%{if} \"a\\b\""
  }
}

resource "aws_vpc_security_group_egress_rule" "web_all" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "web_tcp_443" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  description       = "everybody"
}

resource "aws_vpc_security_group_ingress_rule" "web_tcp_443_2" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv6         = "::/0"
}

resource "aws_vpc_security_group_ingress_rule" "web_icmp_8" {
  security_group_id = aws_security_group.web.id
  ip_protocol       = "icmp"
  from_port         = 8
  to_port           = -1
  cidr_ipv4         = "192.0.2.0/24"
}

resource "aws_security_group" "db" {
  name        = "db"
  description = "- databases"
  vpc_id      = aws_vpc.shop.id
}

resource "aws_vpc_security_group_ingress_rule" "db_tcp_5432_5440" {
  security_group_id            = aws_security_group.db.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5440
  referenced_security_group_id = aws_security_group.web.id
}

resource "aws_ec2_managed_prefix_list" "offices" {
  name           = "offices"
  address_family = "IPv4"
  max_entries    = 5

  entry {
    cidr        = "203.0.113.0/24"
    description = "Hamburg"
  }

  entry {
    cidr = "198.51.100.0/25"
  }
}

resource "aws_vpc_security_group_egress_rule" "db_udp_53" {
  security_group_id = aws_security_group.db.id
  ip_protocol       = "udp"
  from_port         = 53
  to_port           = 53
  prefix_list_id    = aws_ec2_managed_prefix_list.offices.id
}

resource "aws_ec2_managed_prefix_list_entry" "_192_0_2_128_25" {
  prefix_list_id = aws_ec2_managed_prefix_list.offices.id
  cidr           = "192.0.2.128/25"
  description    = "Porto"
}

# Remove these entries from the configuration: 198.51.100.0/25

resource "aws_network_interface" "interface" {
  subnet_id       = aws_subnet.subnet.id
  description     = "the first"
  security_groups = [aws_security_group.web.id, aws_security_group.db.id]
  private_ips     = ["10.7.1.10"]
}

# Instead of those that aws_network_interface.interface has now. Where the configuration has it as an aws_network_interface, or an
# aws_instance whose primary one it is, say so there: security_groups, vpc_security_group_ids.

resource "aws_network_interface_sg_attachment" "aws_security_group_web" {
  security_group_id    = aws_security_group.web.id
  network_interface_id = aws_network_interface.interface.id
}

# In the resource of aws_network_interface.interface:
#   source_dest_check = false

resource "aws_ec2_tag" "env" {
  resource_id = aws_network_interface.interface.id
  key         = "env"
  value       = "prod"
}

resource "aws_ec2_tag" "old" {
  resource_id = aws_network_interface.interface.id
  key         = "old"
  value       = ""
}

resource "aws_ec2_tag" "env_2" {
  resource_id = aws_security_group.db.id
  key         = "env"
  value       = "prod"
}

resource "aws_ec2_tag" "old_2" {
  resource_id = aws_security_group.db.id
  key         = "old"
  value       = ""
}

# Remove these tags of aws_network_interface.interface from the configuration: old

resource "aws_vpc" "vpc" {
  cidr_block                       = "10.8.0.0/16"
  assign_generated_ipv6_cidr_block = true
}

# In the resource of aws_vpc.vpc:
#   enable_dns_hostnames = true

resource "aws_vpc_peering_connection" "peering" {
  vpc_id      = aws_vpc.shop.id
  peer_vpc_id = aws_vpc.vpc.id
  auto_accept = true
}

resource "aws_security_group" "gone" {
  name        = "gone"
  description = "for a moment"
  vpc_id      = aws_vpc.shop.id
}

resource "aws_vpc_security_group_egress_rule" "gone_all" {
  security_group_id = aws_security_group.gone.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

# Remove the resource of aws_security_group.gone from the configuration.

resource "aws_instance" "web" {
  count                  = 2
  ami                    = "ami-0000000000000a1ab"
  instance_type          = "m1.small"
  subnet_id              = aws_subnet.subnet.id
  vpc_security_group_ids = [aws_security_group.web.id]
  user_data              = "#!/bin/sh\necho 'hello'\n"
  tags = {
    Name = "web"
  }
}
