# ruff: noqa: E501  (a pattern is easier to check on one line than broken)
"""Signs: statements that a text makes, found by rule, that the taxonomy names as reasons for a label.

Each is a feature of the model and, where it was found, a reason that an agent can read. A sign never decides alone.
They are searched in the canonical text (lower case, NFKC, marks in the private use area).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.classifier.domain.script import script_of, split_by_script
from services.classifier.domain.text import ORDER_MARK


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign. strength: what it says of the work required: "strong", "weak" or "" for nothing."""

    name: str
    words: str
    pattern: re.Pattern[str]
    strength: str = ""


def _sign(name: str, words: str, *patterns: str, strength: str = "") -> Sign:
    return Sign(name, words, re.compile("|".join(patterns)), strength)


WORK_SIGNS = (
    _sign(
        "charged_twice",
        "charged more than once / 重复扣款",
        r"双份钱|刷重|(?:又|再)(?:自动)?付(?:掉|了一次|了一遍)|(?:taken|charged|billed|paid|debited).{0,40}\b(?:twice|two times)\b|twice on the|double payment",
        r"(?:扣|付|刷|收|支付|扣款|付款)了?(?:我|了)?.{0,4}(?:两|2|二|三|3)(?:次|笔|遍|回)|重复(?:扣|付|支付|收)|两笔.{0,8}(?:扣|付)|(?:扣|付|刷)了?两",
        r"(?:charged|billed|paid|took).{0,30}(?:twice|two times|double)|double[ -]?charge|duplicate (?:charge|payment)|两笔都",
    ),
    _sign(
        "unknown_charge",
        "a charge that the customer did not agree to / 不明扣款",
        r"不是我付的|(?:零钱|余额|卡里|账上|账户).{0,6}少了|查.{0,6}不是我付|醒来.{0,10}(?:少|没)了",
        r"(?:莫名|不明|自动|偷偷|乱|擅自|私自|无故|没同意|又).{0,6}(?:扣|划走|续费了)|(?:没|未|不是我)(?:有)?(?:买|下过?单|开|操作|消费|花|用过).{0,14}(?:扣|钱|款|我\d)",
        r"扣.{0,14}(?:没买|没下过?单|不知道|不认识|没开|没同意|没操作|没用过)|不认识的|盗刷|被刷|刷走|从来没同意|没人告诉过我",
        r"(?:don'?t|didn'?t|do not|did not|never|not) (?:recogni[sz]e|make|made|authori[sz]e|signed? up|bought)|unauthori[sz]ed|unknown charge|no permission|unrecogni[sz]ed",
        strength="strong",
    ),
    _sign(
        "money_taken_no_order",
        "money was taken and there is no order / 扣款无订单",
        r"(?:扣|付)了?(?:钱|款|的?\d+)?.{0,8}(?:没有?订单|没生成|没付成|订单没有|没订单|显示(?:未|没))|(?:失败|不成功|没成功).{0,10}扣(?:了|走|款)?|扣(?:了|款|走).{0,8}(?:失败|不成功)",
        r"money (?:was |has been )?taken|charged (?:me )?but|payment failed.{0,30}charged",
    ),
    _sign(
        "fraud",
        "somebody pretends or cheats / 疑似诈骗",
        r"保证金|做任务|返佣|刷单|垫(?:了|付).{0,6}(?:万|千)|扫我码|(?:链接|短信).{0,16}(?:卡号|密码|身份证)|公检法|gift cards? (?:for|to).{0,16}(?:verif|unlock|\d)|redelivery fee|fake (?:site|shop|page|website)|read .{0,8}(?:out )?the code|caller|text saying",
        r"诈骗|冒充|假客服|假冒|自称|被骗|骗走|骗子(?!平台)|中奖|屏幕共享|百万保障|备用金|\bscam|fraud|phish|pretend|impersonat|click (?:a|the|this) link",
    ),
    _sign(
        "taken_over",
        "somebody else uses the account / 账号被他人使用",
        r"改了密码|密码被改|强制下线|登录记录|没下过单.{0,12}订单|多了.{0,4}(?:个|笔)订单|broken into|password changed|phone number changed|orders? i (?:never|did ?n.?t) place",
        r"盗号|(?:号|账户|账号).{0,4}被盗|盗了?我的?号|异地登|别人登|有人登|有人(?:盗|拿我的号)|陌生设备|被人(?:改|登)|没操作过的改密|hack|taken over|someone.{0,12}(?:my account|log|the email|signed in)|somebody.{0,10}my account",
    ),
    _sign(
        "leak",
        "personal data may have leaked / 疑似信息泄露",
        r"外泄|(?:看到|打开|显示).{0,8}(?:全)?是?别人的(?:名字|电话|地址|订单|信息)|(?:地址|电话|身份证|信息).{0,10}(?:发给|给了|卖给|群里)|准确报出|(?:面单|快递单).{0,8}身份证|other people.?s (?:invoice|order|name|address|detail)|(?:to|with) a stranger|mailed my|gave .{0,14}my (?:address|number|phone)",
        r"泄露|泄漏|信息.{0,4}(?:泄|外流)|data (?:leak|breach)|leaked|连我.{0,8}都知道",
    ),
    _sign(
        "card_lost",
        "a card, phone or wallet is lost or stolen / 卡或手机丢失",
        r"(?:卡|钱包|手机).{0,4}(?:丢了|丢失|被偷|掉了|被盗)|(?:lost|stole|stolen|missing).{0,14}(?:card|wallet|phone)|(?:card|wallet|phone).{0,14}(?:lost|stolen)",
    ),
    _sign(
        "details_given",
        "card, code or identity details were handed over / 已交出卡号或验证码",
        r"(?:填|输|发)(?:了|进去).{0,8}(?:密码|卡号|身份证|验证码)|(?:密码|卡号|身份证|验证码).{0,8}(?:填进去|输进去|发过去)",
        r"(?:给|告诉|发给?|填).{0,12}(?:验证码|卡号|密码|身份证)|(?:验证码|卡号|密码|身份证).{0,10}(?:给|告诉|发|填)(?:了|出|他|那)|(?:gave|shared|entered|told).{0,24}(?:card|password|details|pin|code)",
    ),
    _sign(
        "money_gone",
        "money or value is gone / 资金或权益已损失",
        r"(?:转走|刷走|骗走|划走|换走|转了)|(?:余额|积分|卡里|存折).{0,8}(?:没了|少了|被)|少了[\d一二两三四五六七八九十百千万]+(?:块|元|$)|took.{0,12}(?:dollars|money|\$|\d)|spent my",
        strength="strong",
    ),
    _sign(
        "danger",
        "fire, shock, injury or illness / 人身或财产危险",
        r"鼓(?:个|起|了|胀|出)|胀(?:起|开|了)|顶开|烫手|冒(?:蓝|白|黑|红)?(?:光|烟|火)|啪啪响|麻(?:手|了一下)|煤气|天然气味|有毒|洗胃|水银|呛得|puff(?:y|ed)|swollen|bulg|inflated|swelled|carbon monoxide|tingl|gas smell",
        r"冒烟|起火|着火|烧(?:了|焦|起|坏)|爆炸|炸了|爆了|会不会爆|要炸|漏电|触电|电到|麻了|麻麻|打火(?!不)|火星|自燃|鼓包|有点鼓|漏液|中毒|拉肚子|呕吐|家吐|脸肿|疹子|烫伤|烫到|割了|割到|受伤|住院|急诊|去医院|煤气味|一氧化碳|铁丝|异物|糊味|焦味|跳闸|打手|烤化|断了.{0,4}(?:孩子|宝宝)|差点(?:吞|砸|要)",
        r"\bfire\b|\bsmok(?:e|ing)|explod|\bburn(?:ed|ing|t|s)?\b|electric shock|\bshock|\bspark|injur|swollen|hospital|poison|chok(?:e|ing)|glass in|collapsed",
    ),
    _sign(
        "contested",
        "the two sides say different things / 双方说法不一",
        r"不认(?!识)|不承认|不同意|不接受|明明|凭什么|硬说|裁定|举证|踢皮球|有(?:录像|监控|视频|截图|录音|证据|聊天|开箱|出入境)|监控里|录音我|我截图|(?:你们|快递|厂家|仓库|客服|商家|系统|网点)(?:一直)?(?:说|判|核实).{0,24}(?:可|但|我|不|其实)",
        r"you (?:say|said|claim|insist)|my camera|screenshots?|have the chat|not my signature|dispute|it was never used|technician says|reviewed",
        strength="strong",
    ),
    _sign(
        "promise_broken",
        "an earlier promise was not kept / 承诺未兑现",
        r"(?:答应|承诺|说好|之前.{0,4}说|保证|上次.{0,4}说|客服先?说).{0,24}(?:没|不|又|反悔|否认|还是|变)|反悔|不认账|没有记录|又说|现在说|promised.{0,60}(?:not|never|still|now|only|den)|was told.{0,40}(?:but|only|and you|never)|reversed|first you",
        strength="strong",
    ),
    _sign(
        "refused",
        "an earlier decision refused the customer / 申请被拒",
        r"驳回|被拒|拒绝|拒了|不给(?:退|换|开|赔|发)|不予|不让退|不补发|rejected|denied|refus(?:e|ed|es)\b",
        strength="weak",
    ),
    _sign(
        "repeat_contact",
        "not the first contact about this / 重复联系",
        r"第(?:[二三四五六七八九十]|[2-9])(?:次|回)|(?:问|找|催|投诉|拒|联系|申请|取消|开错|承诺)了?.{0,4}(?:好几|[两三四五六七八九十几]|[2-9])(?:次|回|遍|个人)|每次都|又来|(?:second|third|fourth|fifth|2nd|3rd|4th|5th) (?:time|complaint)|several times|again and again|three times",
        strength="weak",
    ),
    _sign(
        "several_parties",
        "several parties are involved / 涉及多方",
        r"(?:商家|快递|厂家|师傅|网点|平台|银行|店铺|仓库|承运商|驿站).{0,4}(?:说|让|判|认).{0,24}(?:商家|快递|厂家|平台|你们|卖家|总部|银行|店铺).{0,4}(?:说|让|也|判|等)|推来推去|carrier says.{0,40}seller|seller says",
        strength="weak",
    ),
    _sign(
        "regulator",
        "threat of a regulator or lawyer / 提到监管或法律途径",
        r"12315|12366|消协|工商局|市场监管|律师|法院|起诉|曝光|税务局|媒体|lawyer|attorney|legal action|small claims|trading standards|\bsue\b",
        strength="weak",
    ),
    _sign(
        "several_orders",
        "several orders are involved / 涉及多个订单",
        r"[两三四五六几多2-9](?:个|笔|张)(?:订)?单|[三四五六七2-9]单|另外.{0,4}单|[abc]单.{0,20}[abc]单|(?:two|three|four|several|multiple) orders|(?:the )?other order|order a\b",
        strength="weak",
    ),
    _sign(
        "delivered_not_received",
        "marked delivered but not received / 显示签收未收到",
        r"(?:签收|妥投|送到|送达|已取|投递).{0,16}(?:没收到|没拿到|没见|没有收到|没人|不是我|没有人|不知道)|(?:没收到|没拿到|未收到|没有收到).{0,14}(?:签收|妥投)|代签|不是.{0,4}本人签",
        r"(?:says?|marked|shows?|showing).{0,16}delivered|delivered.{0,30}(?:never|not|nobody|wrong)",
    ),
    _sign(
        "overdue",
        "something is late beyond its time / 已超时",
        r"(?<![要约概少每七])(?:\d+|[一二两三四五六八九十半俩])多?(?:天|个?(?:星期|礼拜|周|月)|日|小时)(?!后|内|以内|之内|无理由|保|能|左右|到|一次|[上一二三四五六]|日)|七天(?:了|没|还|都|过)|几天(?:了|都|没)|好几天|半个多?月|一直(?:没|不|在|显示|拖)|迟迟|超时|超了|逾期|延误|第[三四五六七八九十\d]天|滞留|还没(?:到账|退|审|处理|影|走|发)|没(?:动静|更新|动)|没变化",
        r"still (?:not|no|nothing|pending|waiting|processing)|days? late|(?:days|weeks?|months?) (?:ago|now)|(?:was|were) (?:supposed|due|promised)|overdue|hasn'?t (?:updated|moved|shipped)|\d+ (?:days|weeks)|a week late|guaranteed",
    ),
    _sign(
        "hurry_up",
        "asks to speed up / 催促",
        r"催|快点(?:发|送|处理|出)|加急|尽快|优先|往前排|hurry|speed up|expedite|push the",
    ),
    _sign(
        "already_shipped",
        "the parcel is already on its way / 已发出",
        r"已经?(?:发货|发出|出库|在路上|寄|在派)|发(?:出|走)(?:去|来|了)|在路上|刚发走|拿走了|已出库|already (?:shipped|on the way)|it shipped|on the way already|its? way",
    ),
    _sign(
        "wrong_by_shop",
        "wrong or missing by the shop / 错发漏发或开错",
        r"(?:你们|给我|上面)?.{0,4}(?:开|发|寄|送|打|配)错|少(?:发|了|件|一|给)|漏(?:发|开|寄|了)|没给我|对不上|不符|不一样|不对|空的|wrong (?:item|product|size|amount|tax|house|color)|missing|instead of|not what",
    ),
    _sign(
        "invoice_wrong",
        "an invoice that was issued wrongly / 发票开错",
        r"(?:发票|抬头|税号|票面|专票|普票).{0,8}(?:开错|不对|有误|搞错|打错|错了)|开错.{0,8}(?:发票|抬头|税号|公司|票)|invoice.{0,30}(?:wrong|incorrect|error|mistake)|wrong (?:name|amount|address|tax|vat|company).{0,20}invoice",
    ),
    _sign(
        "own_mistake",
        "the customer's own slip / 客户自己填错",
        r"我(?:自己)?.{0,4}(?:填|写|拍|买|选|点|输)错|^.{0,6}(?:填|写|拍|选)错|手误|点错|my mistake|i (?:typed|entered|ordered|chose|picked) the wrong|by mistake|forgot to",
    ),
    _sign(
        "intercept",
        "stop or redirect a parcel / 拦截改派",
        r"拦截|拦下|截(?:下|回|住)|叫回|叫停|改派|转寄|stop the delivery|redirect|reroute",
    ),
    _sign(
        "merchant",
        "written by a merchant or courier / 商家或快递来信",
        r"我(?:们)?是(?:商家|卖家|快递|店家|仓库|供应商)|商家(?:这边|端|后台)|^商家|驿站的|派件员|店铺后台|seller (?:portal|account)|our listings?",
    ),
    _sign(
        "about_staff",
        "about the service or its staff / 对客服或服务的投诉",
        r"投诉|态度|骂人|骂我|服务.{0,6}差|什么服务|领导|主管|经理|申诉|纠纷|敷衍|complain|\brude|manager|escalat|supervisor|hung up|on hold",
    ),
    _sign(
        "defect",
        "a product does not work / 商品故障",
        r"坏(?:了|的)|开不了机|没反应|死机|黑屏|蓝屏|失灵|划痕|裂|漏水|不制冷|断了|脱|开线|掉漆|异响|故障|充不进|won'?t (?:turn|start|charge)|stopped working|broke|doesn'?t work|not working|crack|leak|\bdead\b|defect",
    ),
    _sign(
        "body_harmed",
        "somebody was hurt or fell ill / 有人受伤或不适",
        r"烫(?:出|掉|伤|破|起).{0,4}|把.{0,8}(?:腿|手|胳膊|脚|脸|嘴).{0,3}(?:烫|割|划|夹|砸)|(?:腿|手|胳膊|脚|嘴|肚皮|脸|背).{0,6}(?:烫|割|划|夹|砸|扎|肿|破)|流血|出血|扎(?:了|进|到|破)|玻璃渣|有根针|起泡|肿成|红肿|过敏|火烧火辣|心慌|上吐下泻|吐了|缝了?.{0,2}针|骨折|摔(?:了|伤|下来)|晕(?:了|倒)|窒息|噎|医院|急诊|医药费|送医",
        r"\brash\b|hives|bleed|blood|cut (?:my|his|her)|stitches|broke .{0,6}(?:tooth|arm|wrist|leg)|blister|swell|vomit|threw up|food poisoning|allergic reaction|(?:metal|needle|plastic|shard) in (?:my|the|it)|button (?:cell|battery)|fell (?:off|out|on)|doctor|emergency room|\ber\b|a&e",
    ),
    _sign(
        "settled_or_denied",
        "says that it is settled or did not happen / 已解决或未发生",
        r"没有重复|不是盗刷|不用查了|不用管了|没事了|虚惊一场|已经(?:自己)?退回|没丢|查到了|解决了|钱没(?:扣|少)|没扣|没转|没点|no money (?:has |was )?(?:gone|taken)|never ?mind|sorted now|found it|turned up|no need to|not charged|wasn.?t charged",
    ),
    _sign(
        "asks_beforehand",
        "asks whether something could happen / 事前询问",
        r"会不会|怕(?:被|着|烫|漏|有)|有没有.{0,8}(?:保护|风险|毒|味)|安全吗|容易.{0,6}吗|怎么.{0,8}才不|能.{0,6}上飞机|is it safe|safe (?:to|for)|could it|would it|does it (?:have|get)|worried (?:that|about)",
    ),
)
"""Signs for category, tier and complexity."""

TONE_SIGNS = (
    _sign(
        "reproach",
        "reproachful wording / 带责备的措辞",
        r"垃圾|什么破|差劲|太坑|坑(?:人|爹|了)|骗子|恶心|失望|气死|烦死|无语|离谱|什么玩意|什么鬼|服了|太差|真差|慢死|敷衍|态度(?:太|很|极)?差|恶劣|滚|过分|套路|磨叽|难看死|爱答不理|推来推去|一问三不知|不管|踢皮球|什么意思|凭什么|到底|搞什么|有病|丑",
        r"ridiculous|awful|terrible|useless|\bjunk|worst|\brude|angry|hate\b|disgust|thie(?:f|ves)|hideous|kidding|horrible|pathetic|unacceptable|disappointed|fed up|scam(?:mers)? you|incompetent|wtf|seriously\?",
    ),
    _sign(
        "praise",
        "appreciative wording / 带赞许的措辞",
        r"真好|太好了|喜欢|满意|好看|好用|很赞|点赞|给力|真棒|很棒|耐心|好吃|真香|很快的|信任|五星|感谢您",
        r"\blove\b|\bgreat\b|awesome|the best|perfect|helpful|appreciate|wonderful|so much|fantastic|excellent",
    ),
    _sign("shouting", "exclamation marks / 感叹号", r"[!！]{2,}|[?？]{2,}"),
)
"""Signs for sentiment alone; the other labels must not move with the tone."""

_OPERATIONS = {
    "return": r"退货|退掉|要退|想退|退了?(?=[,,\s。]|$)|退(?:一件|裤|外套|大衣|鞋|机)|\breturn\b|send (?:it|them|this|that|one) back",
    "refund": r"退款|退钱|退我|退回|退差|运费.{0,6}退|退(?:一下)?运费|返(?:一下|我|给我)|\brefund\b|money back",
    "exchange": r"换货|换成|换(?:大|小|一|个|件|码|颜色|灰|[a-z]+码)|要换|(?:污渍|坏的?).{0,3}换|\bexchange\b|\bswap\b|(?:want|get) .{0,20}instead",
    "cancel": r"取消|(?:那|另外|另)(?:一)?(?:件|单|个).{0,4}不要|\bcancel\b",
    "reissue": r"补发|补寄|补给我|要补|补(?:一个|两个|一下|齐)|重新开|重开|红冲|重做|\bresend\b|\breissue\b|replacement|send (?:me )?(?:a new|another)",
    "change": r"改地址|地址改|改成|改到|改送|改自提|换绑|\b(?:change|update|modify|fix|correct)\b.{0,24}(?:address|name|phone|size|colou?r|item|order|payment)|address fixed",
    "compensate": r"赔偿?|补偿|误工|医药费|compensat|medical costs|reimburse",
    "merge": r"合并|加急|\bmerge\b|\bcombine\b",
    "invoice": r"(?:开|补开|补一?张|发).{0,4}(?:发票|专票|普票)|发票.{0,6}(?:开|补|发)|(?:send|need|email|get).{0,14}(?:invoice|receipt)",
    "benefit": r"(?:积分|优惠券|券|会员|红包).{0,6}(?:还我|退|补|恢复|没到)|(?:give|put|restore).{0,14}(?:points|coupon|credit|voucher)",
    "remove": r"解绑|注销|关掉|删(?:掉|除)|\b(?:remove|delete|unlink|take .{0,14}(?:off|out))\b",
    "pick_up": r"上门取|来(?:取|拿)走?|拉走|\bpick(?:ed)? ?up\b|collect it",
}
_OPERATION = {name: re.compile(pattern) for name, pattern in _OPERATIONS.items()}

TWO_OPERATIONS = Sign("two_operations", "asks for two different operations / 要求两种处理", re.compile(r"(?!)"), "weak")
MANY_OPERATIONS = Sign(
    "many_operations", "asks for three or more operations / 要求三种以上处理", re.compile(r"(?!)"), "strong"
)
MANY_MENTIONS = Sign(
    "many_mentions", "names operations three times or more / 三处以上提到处理", re.compile(r"(?!)"), "weak"
)

SIGNS = (*WORK_SIGNS, TWO_OPERATIONS, MANY_OPERATIONS, MANY_MENTIONS, *TONE_SIGNS)
"""Every sign; its place here is its column in the weights."""

FIRST_TONE_SIGN = SIGNS.index(TONE_SIGNS[0])
_SEVERAL_ORDERS = next(place for place, sign in enumerate(SIGNS) if sign.name == "several_orders")

_SEARCHED = tuple(zip(*(split_by_script(sign.pattern) for sign in SIGNS), strict=True))
_OPERATIONS_SEARCHED = tuple(zip(*(split_by_script(pattern) for pattern in _OPERATION.values()), strict=True))


def operations_asked_for(text: str) -> frozenset[str]:
    """Which different operations a canonical text mentions."""
    searches = _OPERATIONS_SEARCHED[script_of(text)]
    found = {name for name, search in zip(_OPERATION, searches, strict=True) if search(text)}
    if "reissue" in found:  # a wrong invoice to be issued again is one operation
        found.discard("invoice")
    return frozenset(found)


def signs_in(text: str, whole: str = "") -> list[int]:
    """Places in SIGNS of the signs that a canonical text shows, ascending.

    whole: where signs of tone are searched, if `text` has lost its courtesies and outbursts; empty is `text`.
    """
    toned = whole or text
    work, tone = _SEARCHED[script_of(text)][:FIRST_TONE_SIGN], _SEARCHED[script_of(toned)][FIRST_TONE_SIGN:]
    found = {place for place, search in enumerate(work) if search(text)}
    found |= {place for place, search in enumerate(tone, FIRST_TONE_SIGN) if search(toned)}
    operations = operations_asked_for(text)
    if len(operations) == 2:
        found.add(SIGNS.index(TWO_OPERATIONS))
    elif len(operations) > 2:
        found.add(SIGNS.index(MANY_OPERATIONS))
    if operations and sum(len(_OPERATION[name].findall(text)) for name in operations) > 2:
        found.add(SIGNS.index(MANY_MENTIONS))
    if text.count(ORDER_MARK) > 1:
        found.add(_SEVERAL_ORDERS)
    return sorted(found)
