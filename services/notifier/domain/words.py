"""Every word that a customer reads, in English and Chinese. Templates hold structure only."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    # the step, as a headline
    "now_received": ("We have your request", "我们已收到您的请求"),
    "now_self_help": ("You have an answer", "您已获得解答"),
    "now_in_line": ("You are in line for a colleague", "正在为您安排客服"),
    "now_with_agent": ("A colleague has your request", "已有客服接手"),
    "now_being_handled": ("We are working on it", "客服正在处理"),
    "now_awaiting_you": ("We need your answer", "需要您补充信息"),
    "now_awaiting_others": ("We are waiting for another party", "正在等待相关方回复"),
    "now_solved": ("We believe it is solved", "问题已处理"),
    "now_finished": ("Finished", "已完成"),
    "now_withdrawn": ("Cancelled", "已取消"),
    # who is awaited
    "awaited_carrier": ("We have asked the carrier.", "我们已向物流公司核实。"),
    "awaited_third_party": ("We have asked a partner.", "我们已联系合作方核实。"),
    "awaited_department": ("We have asked another department.", "我们已转请相关部门核实。"),
    # what next
    "next_sorting": (
        "Next we find the right colleague for it. You will see a time here as soon as we can promise one.",
        "接下来会为您匹配合适的客服，确定时间后会显示在这里。",
    ),
    "next_answer_by": ("You get a first answer by", "最晚回复时间："),
    "next_answer_late": (
        "This takes longer than we promised, and we are sorry. Your place in line is kept. The answer was due by",
        "抱歉，回复比承诺的晚了，您的排队位置会保留。原定回复时间：",
    ),
    "next_answer_unknown": (
        "A colleague answers next. We cannot name a time yet.",
        "接下来由客服回复您，目前还无法给出准确时间。",
    ),
    "next_solution_by": ("We aim to have it solved by", "预计解决时间："),
    "next_solution_late": (
        "This takes longer than we planned, and we are sorry. We are still on it. It was planned for",
        "抱歉，处理时间超出预期，我们仍在跟进。原定时间：",
    ),
    "next_solution_unknown": (
        "We keep working on it. We cannot name a time yet.",
        "我们会继续处理，目前还无法给出准确时间。",
    ),
    "next_self_help": (
        "If our answer helps, there is nothing more to do. If not, ask for a colleague.",
        "如果上面的解答有帮助，您无需再做什么；如果没有，可以转人工客服。",
    ),
    "next_awaiting_you": (
        "Please write to us below. We go on as soon as we have your answer.",
        "请在下方回复，收到后我们会立即继续处理。",
    ),
    "next_solved": (
        "If it is not solved for you, say so and we take it up again. Otherwise it closes by itself.",
        "如果问题仍未解决，请告诉我们，我们会重新处理；否则将自动完成。",
    ),
    "next_finished": ("Nothing more is needed from you.", "您无需再做什么。"),
    "next_withdrawn": ("Nothing more happens with this request.", "该请求不再继续处理。"),
    # lines of the timeline
    "line_received": ("Request received", "收到请求"),
    "line_self_help": ("Answered from our help pages", "自助解答"),
    "line_in_line": ("In line for a colleague", "等待客服接手"),
    "line_with_agent": ("Taken by a colleague", "客服已接手"),
    "line_being_handled": ("Work in progress", "客服处理中"),
    "line_awaiting_you": ("Waiting for your answer", "等待您的回复"),
    "line_awaiting_others": ("Waiting for another party", "等待相关方回复"),
    "line_solved": ("Solved", "已处理"),
    "line_finished": ("Finished", "已完成"),
    "line_withdrawn": ("Cancelled", "已取消"),
    "line_message_agent": ("Answer from us", "客服回复"),
    "line_message_customer": ("You wrote", "您的留言"),
    "line_message_system": ("Automatic message", "系统消息"),
    "line_cancel_requested": ("You asked to cancel", "您申请了取消"),
    "line_reopen_requested": ("You said it is not solved", "您反馈问题未解决"),
    "line_help_requested": ("You asked for a colleague", "您申请了人工客服"),
    "line_confirmed": ("You confirmed that it is solved", "您确认问题已解决"),
    "line_settled": ("Settled by news about your order", "订单有新进展，问题已解决"),
    "line_rated": ("You rated our service", "您评价了我们的服务"),
    "our_question": ("Our question", "客服的问题"),
    "shown_above": ("Shown above", "见上方"),
    # buttons and form
    "do_cancel": ("Cancel it", "取消请求"),
    "do_help": ("Ask for a colleague", "转人工客服"),
    "do_confirm": ("It is solved", "问题已解决"),
    "do_reopen": ("Not solved", "还没解决"),
    "do_rate": ("How did we do?", "请为本次服务打分"),
    "do_send": ("Send", "发送"),
    "cancel_what": (
        "This ends your request for good. For the same matter you would have to start a new one.",
        "取消后该请求将结束且无法恢复，如仍需帮助需重新提交。",
    ),
    "cancel_sure": ("Yes, cancel it", "确定取消"),
    "rated_as": ("You gave us", "您的评分："),
    "rate_scale": ("1 is bad, 5 is very good.", "1 分很差，5 分很好。"),
    "write_back": ("Write to us", "给我们留言"),
    "write_hint": (
        "Please leave out passwords and card numbers.",
        "请勿填写密码或银行卡号。",
    ),
    "write_over": (
        "This request is closed, so this cannot be sent here. If you still need something, please start a new request.",
        "该请求已结束，无法再从这里发送。如仍需帮助，请提交新的请求。",
    ),
    "write_sending": ("Sending…", "正在发送……"),
    "write_sent": ("Sent. Thank you.", "已发送，谢谢。"),
    "write_failed": (
        "This was not sent. Your text is still here; please try again.",
        "发送失败，您写的内容仍在这里，请重试。",
    ),
    "unsent": (
        "Your last message or choice was not sent, because this request is closed. If you still need something, please "
        "start a new request. Going back in your browser brings your text back.",
        "该请求已结束，您刚才的留言或操作未能提交。如仍需帮助，请提交新的请求；返回上一页可找回您写的内容。",
    ),
    # frame
    "title": ("Your request", "您的请求"),
    "what_next": ("What happens next", "接下来"),
    "history": ("What happened so far", "处理进度"),
    "reference": ("Reference", "编号"),
    "order": ("Order", "订单"),
    "parcel": ("Parcel", "运单"),
    "handled_by": ("With", "客服"),
    "refresh": ("Refresh", "刷新"),
    "live": ("This page updates by itself.", "本页会自动更新。"),
    "offline": ("Connection lost. Trying again…", "连接中断，正在重试……"),
    "as_of": ("As of", "更新于"),
    "cancel_pending": ("Your wish to cancel has been passed on.", "您的取消申请已提交。"),
    "other_language": ("中文", "English"),
    "skip": ("Skip to content", "跳到正文"),
    "earlier_left_out": ("Earlier lines are left out.", "更早的记录未显示。"),
    # links that no longer work
    "expired_title": ("This link has expired", "链接已过期"),
    "expired_text": (
        "For your safety, status links work for a limited time. Open the newest link that the shop sent you, or write "
        "to the shop.",
        "为保护您的信息，进度链接只在一定时间内有效。请打开商家最近发送的链接，或联系商家客服。",
    ),
    "invalid_title": ("This link does not work", "链接无效"),
    "invalid_text": (
        "It may have been cut off when it was copied. Open it again from the shop's message, or write to the shop.",
        "链接可能在复制时不完整。请从商家的消息中重新打开，或联系商家客服。",
    ),
}
"""Key → English, Chinese."""


def say(key: str, language: str) -> str:
    """The words for `key`. Raises KeyError for one that does not exist: a missing text is a bug, never a blank."""
    return WORDS[key][LANGUAGES.index(language)]
