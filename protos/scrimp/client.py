"""A thin client for the wire contract.

    async with Client("127.0.0.1:50051", namespace="acme", feature="support") as scrimp:
        done = await scrimp.complete("How do I reset my password?", user="u1")
        print(done.answer.text, done.report.cost.saved_usd_nanos)

It adds nothing to the contract but shorter ways to write requests. ``client.gateway``,
``advisor``, ``feedback``, ``admin`` and ``savings`` are the plain stubs for everything else, which
want ``metadata=client.metadata`` where the service wants a key or is told who calls;
errors are grpc's own ``grpc.aio.AioRpcError``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType

import grpc

from scrimp.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    advisor_pb2,
    advisor_pb2_grpc,
    chat_pb2,
    feedback_pb2,
    feedback_pb2_grpc,
    gateway_pb2,
    gateway_pb2_grpc,
    savings_pb2,
    savings_pb2_grpc,
)

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


def text_message(text: str, role: chat_pb2.Role.ValueType = chat_pb2.ROLE_USER) -> chat_pb2.Message:
    """Return a message of one text part."""
    return chat_pb2.Message(role=role, parts=[chat_pb2.Part(text=text)])


class Client:
    """Talks to one service.

    Args:
        target: ``host:port`` or ``unix:/path``.
        namespace: of every request that names none.
        feature: the same for attribution.
        caller: who we are; tickets and feedback are bound to it. With a key, the key says it.
        api_key: where the service wants one.
        credentials: where it speaks TLS, such as ``grpc.ssl_channel_credentials()``.
        timeout_s: deadline of every call that names none.
    """

    def __init__(
        self,
        target: str,
        *,
        namespace: str = "",
        feature: str = "",
        caller: str = "",
        api_key: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._namespace = namespace
        self._feature = feature
        said = {"scrimp-caller": caller, "authorization": f"Bearer {api_key}" if api_key else ""}
        self.metadata = tuple((key, value) for key, value in said.items() if value)
        self._timeout_s = timeout_s
        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ]
        self.channel = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )
        self.gateway = gateway_pb2_grpc.GatewayStub(self.channel)
        self.advisor = advisor_pb2_grpc.AdvisorStub(self.channel)
        self.feedback = feedback_pb2_grpc.FeedbackStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)
        self.savings = savings_pb2_grpc.SavingsStub(self.channel)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self.channel.close()

    def request(
        self,
        prompt: str | Sequence[chat_pb2.Message],
        *,
        system: str = "",
        namespace: str = "",
        user: str = "",
        feature: str = "",
        task: str = "",
        conversation: str = "",
        request_id: str = "",
        tags: Sequence[str] = (),
    ) -> chat_pb2.ChatRequest:
        """Return a request; set further fields on it as you like.

        Args:
            prompt: the user's words, or the whole conversation.
            system: put before it.
            namespace: instead of the client's own.
            user: whom it is accounted to; personal prompts are reused only within their user.
            feature: of the app, instead of the client's own.
            task: of the feature.
            conversation: of the user.
            request_id: makes a retry the same request.
            tags: for later invalidation.
        """
        messages = [text_message(prompt)] if isinstance(prompt, str) else list(prompt)
        if system:
            messages.insert(0, text_message(system, chat_pb2.ROLE_SYSTEM))
        return chat_pb2.ChatRequest(
            namespace=namespace or self._namespace,
            messages=messages,
            attribution=chat_pb2.Attribution(
                user=user,
                feature=feature or self._feature,
                task=task,
                conversation=conversation,
            ),
            request_id=request_id,
            tags=tags,
        )

    async def complete(
        self, prompt: str | chat_pb2.ChatRequest, *, user: str = "", conversation: str = ""
    ) -> gateway_pb2.CompleteResponse:
        """Let scrimp answer."""
        return await self.gateway.Complete(
            gateway_pb2.CompleteRequest(request=self._whole(prompt, user, conversation)),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )

    async def stream(
        self, prompt: str | chat_pb2.ChatRequest, *, user: str = "", conversation: str = ""
    ) -> AsyncIterator[gateway_pb2.StreamCompleteResponse]:
        """Let scrimp answer, piece by piece; the last event is ``done``."""
        async for event in self.gateway.StreamComplete(
            gateway_pb2.StreamCompleteRequest(request=self._whole(prompt, user, conversation)),
            timeout=self._timeout_s,
            metadata=self.metadata,
        ):
            yield event

    async def look_up(
        self, prompt: str | chat_pb2.ChatRequest, *, user: str = "", conversation: str = ""
    ) -> advisor_pb2.LookUpResponse:
        """Ask for a stored answer, or which model to call."""
        return await self.advisor.LookUp(
            advisor_pb2.LookUpRequest(request=self._whole(prompt, user, conversation)),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )

    async def store(
        self,
        found: advisor_pb2.LookUpResponse,
        text: str,
        *,
        usage: chat_pb2.Usage | None = None,
        model: str = "",
        finish_reason: str = "stop",
        namespace: str = "",
    ) -> advisor_pb2.StoreResponse:
        """Hand back what the model said after ``look_up`` found nothing."""
        return await self.advisor.Store(
            advisor_pb2.StoreRequest(
                ticket=found.advice.ticket.token,
                namespace=namespace or self._namespace,
                answer=chat_pb2.Answer(text=text, finish_reason=finish_reason),
                usage=usage,
                model=model,
            ),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )

    async def report(
        self, response_id: str, verdict: feedback_pb2.Verdict.ValueType, note: str = ""
    ) -> feedback_pb2.ReportResponse:
        """Say whether a response was right."""
        return await self.feedback.Report(
            feedback_pb2.ReportRequest(
                namespace=self._namespace, response_id=response_id, verdict=verdict, note=note
            ),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )

    async def saved(self, *group_by: str) -> savings_pb2.SavingsReport:
        """Return what was spent and saved, over everything or in groups."""
        response = await self.savings.GetSavings(
            savings_pb2.GetSavingsRequest(filter=savings_pb2.SavingsFilter(group_by=group_by)),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )
        return response.report

    async def set_mode(
        self, mode: admin_pb2.Mode.ValueType, namespace: str = ""
    ) -> admin_pb2.SetModeResponse:
        """Switch a namespace off, to shadow, or on."""
        return await self.admin.SetMode(
            admin_pb2.SetModeRequest(namespace=namespace or self._namespace, mode=mode),
            timeout=self._timeout_s,
            metadata=self.metadata,
        )

    def _whole(
        self, prompt: str | chat_pb2.ChatRequest, user: str, conversation: str
    ) -> chat_pb2.ChatRequest:
        if isinstance(prompt, str):
            return self.request(prompt, user=user, conversation=conversation)
        return prompt
