"""DynamoDB is moto's; a described table has its id as well, which community.aws.dynamodb_table asks for."""

from __future__ import annotations

import uuid

from moto.core.responses import ActionResult
from moto.dynamodb.responses import DynamoHandler, DynamoResult


class Tables(DynamoHandler):
    """DynamoDB's operations."""

    def describe_table(self) -> ActionResult:
        shown = self.dynamodb_backend.describe_table(self.body["TableName"])
        table = shown["Table"]
        named = f"{table['TableArn']} {table['CreationDateTime']}"
        return DynamoResult({"Table": {**table, "TableId": str(uuid.uuid5(uuid.NAMESPACE_URL, named))}})


RESPONSES = {"dynamodb": Tables}
