# ruff: noqa: E501  (one line per topic reads better than broken patterns)
"""Topics: the words by which a category is usually named. Like signs they are features, never decisions.

They carry what a small corpus cannot: that 数电票 is as much an invoice as 发票. One line per topic, searched in the
canonical text.
"""

from __future__ import annotations

import re

from services.classifier.domain.script import script_of, split_by_script

TOPICS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        (
            "invoice",
            r"票上|票开|开好了?吗?票|的票|寄了?票|品名|入账|入不了账|财务|盖章|ofd|税局|开给.{0,6}单位|要专用|合开一?张|发票|开票|抬头|税号|专票|普票|数电|电子票|收据|小票|红冲|税率|报销|增值税|税点|开(?:一)?张|换票|票(?:据|面|还|都|什么|怎么|已经)|购买方|销货清单|invoice|receipt|\bvat\b|tax number|\bein\b",
        ),
        (
            "courier",
            r"在途|路上那|改寄|自提点|代收|当日达|次日达|隔日达|运断|洒了|洒在|压(?:扁|坏|烂|瘪)|化了|冻品|在哪个仓|转运|外省|司机|放门口|门卫|扔(?:一楼|门口)|摔(?:了|坏)|取走|快递|快件|物流|派送|派件|配送|驿站|菜鸟|蜂巢|丰巢|快递柜|取件码|运单|揽收|中转|签收|妥投|送货|小哥|站点|承运|清关|海关|顺丰|圆通|中通|申通|韵达|邮政|德邦|包裹|件儿?(?:到|丢|在)|轨迹|冷链|parcel|package|courier|carrier|tracking|deliver|driver|\bups\b|fedex|usps|customs|porch|in transit|shipment",
        ),
        (
            "where",
            r"拿到手|能拿到|送过来|派不派|中午前|周几.{0,4}(?:拿|到)|哪个(?:省|城市)|到哪|走到|到了没|几(?:点|时|天)(?:到|送|能)|什么时候(?:到|送)|啥时候(?:到|送)|哪天(?:送|到)|多久(?:能)?到|还没(?:到|送|来)|送到(?:了)?没|where(?:'?s| is)|when (?:will|does|should).{0,16}(?:arrive|get here|come|deliver)|arriv|eta\b",
        ),
        (
            "dispatch",
            r"没影|还没走|当天走|卡在审核|待处理|备货|待出库|什么时候(?:走|出)|多久(?:发|出)|发货|出库|出货|打包|待发|备货|配货|预售|补货就发|没发|发了没|啥时候发|什么时候发|拆单|仓库|缺货|has.{0,12}shipped|when will it ship|dispatch|processing|pre-?order",
        ),
        (
            "order_change",
            r"撤(?:单|了|回订单)|先(?:别|不要)(?:发|送|走)|先放着|等我通知|下错|选成|换个?收(?:件|货)|不用送|我去店里拿|缓(?:几天|一下)发|写漏了?门牌|多(?:拍|下)了|取消|不要了|改(?:一?下|成|到|个)?.{0,3}(?:地址|电话|手机|号码|收货|收件|名字|姓名|时间|颜色|规格|数量)|(?:地址|电话|号码|收货人|收件人|门牌|楼层)(?:.{0,6})?(?:错|改|换|少|没写)|合并|备注|加(?:一件|两|购|单)|一起发|拍错|下错单|买错了.{0,4}没发|cancel|change.{0,14}(?:address|order|phone|quantity)|add (?:another|an) item|wrong address|combine",
        ),
        (
            "order_place",
            r"这单|那单|单子|一单|代下单|加钱吗|补.{0,4}运费|偏远|之前买的东西|下单|订单|下的单|拍下|抢购|限购|凑单|包邮|运费|邮费|货到付款|自提|定制|送礼|礼盒|贺卡|place.{0,6}order|my order|order (?:status|number)|checkout|shipping (?:fee|cost)|ship to|gift ?wrap|free shipping|in store",
        ),
        (
            "return",
            r"直接退|待商家处理|退件|激活过.{0,6}退|下文|退货|退换|退款|退钱|退了|想退|要退|能退|退不|退掉|退回|退运|退件|怎么退|无理由|售后单|换货|换(?:个|一|大|小|成|件|码)|寄回|取件|仅退|拒收|return|refund|exchange|send it back|swap|store credit",
        ),
        (
            "wrong_item",
            r"箱(?:子)?里(?:没|只|是|两|一)|盒子里(?:没|是|少)|没放进|没配|别的型号|我没选|拆开是|开箱是|开机看|量了|描述说|宣传图|使用(?:记录|痕迹)|空袋|配错|少(?:发|了|件|一|个|两)|漏发|发错|错发|缺(?:了|个|一|说明|配件)|不符|不一样|色差|假货|不是我(?:买|要|拍)|只(?:收到|有|到)|空(?:盒|的|箱)|没给我|配件不全|数了|少东西|临期|两只|missing|wrong (?:item|size|color|order)|only got|not (?:the real|like the picture)|fake|incomplete|someone else'?s order",
        ),
        (
            "defect",
            r"[关合升推打拉转点装拧扣锁按插拔充开连读识搜闭调刷]不(?:上|了|开|着|严|住|动|紧|出|起|进|下|来|到|平|稳)|磕|翘边|接触不良|罢工|滴水|一直滴|断成|跑绒|不均|不匀|掉皮|没电|红灯|吸力|一碰就|就灭|就断|就闪|胶水味|霉味|印糊|磨出|卡死|有灰|白沫|忽[大冷高]|一边.{1,4}一边|品控|坏|故障|开不了|打不开|不(?:亮|热|转|响|制冷|出水|通电|灵|工作|动|冻|走)|没(?:反应|声音|信号|图像)|死机|卡死|黑屏|花屏|蓝屏|闪屏|屏幕闪|坏点|重启|关机|失灵|划痕|裂|破(?:了|洞)|漏(?!发|开|寄)|脱(?:胶|线|落|皮)|开(?:线|胶|裂)|起(?:球|皮)|掉(?:漆|色|了|毛)|生锈|异响|噪|松(?:的|了|动)|断(?:了|开|骨|连)|变形|发烫|发霉|有洞|污渍|异味|歪|散架|粘|夹生|充不|连不|读不|识别不|对不上焦|不灵|条纹|瘪|磨损|won'?t|stopped|broke|doesn'?t|does not|not work|crack|dead|defect|peel|ripped|stain|noise|shut(?:s|ting) off|faulty|malfunction|leak|loose|wobbl",
        ),
        (
            "warranty",
            r"保修|维修|报修|修(?:好|了|理|一下|不好|回来|的)|送修|延保|质保|碎屏险|安装|师傅|上门(?!取)|调试|清洗|保养|网点|检测|warranty|repair|install|technician|service center",
        ),
        (
            "promotion",
            r"半价|划算|消费券|神券|豆子|签到|回馈|给补|补(?:差|我\d|我[一二三四五六七八九十])|降的价|中奖|晒单|学生认证|免单|新的算|满[一二三四五六七八九十百千两]|还差.{0,6}凑|比.{0,6}贵|优惠|券|满减|满\d|打折|折扣|折|保价|价保|价格保护|差价|降价|便宜|涨价|买贵|活动|促销|赠品|赠送|送的|小样|积分|京豆|红包|返现|返\d|秒杀|拼团|砍价|团购|国补|补贴|以旧换新|旧机|会员价|双十?11|双11|双十一|618|尾款|定金|新人|coupon|promo|discount|price match|on sale|\bsale\b|points|rewards|voucher|free gift|cheaper|price adjust",
        ),
        (
            "product",
            r"尺寸|尺码|码数|几码|什么码|多大|多高|多长|多宽|多重|材质|面料|成分|规格|参数|型号|颜色|色号|有货|现货|补货|正品|国行|原装|兼容|通用|支持|适合|适配|防水|续航|功率|容量|接口|区别|哪个好|哪款|怎么(?:用|设置|连|配|装|打开|开|安装|调|洗|充)|如何|说明书|保质期|生产日期|好用吗|会不会|是不是|有没有|能(?:装|放|用|插|洗|带|加热|当)|可以(?:用|洗|放|插)|多少(?:度|瓦|克|斤|寸|毫升)|甜不|辣不|厚不|软|硬|敏感|孕妇|宝宝|compatible|waterproof|what size|dimension|in stock|how do i (?:pair|use|set|reset|clean|connect)|difference between|material|fit\b|come with|batter(?:y|ies) last|weigh|true to size|does (?:it|this|the)|is (?:it|this)",
        ),
        (
            "payment",
            r"网银|代扣|扫了|分.{0,3}期|免息|换张卡|钱也?走|存折|提到卡|收我两|风控|限额|took .{0,8}\d|money|scam|骗|付款|支付|付不|付钱|付了|扣款|扣钱|扣了|扣我|扣费|多扣|刷卡|信用卡|银行卡|花呗|白条|分期|微信付|支付宝|余额|礼品卡|e卡|充值|话费|免密|代付|转账|到账(?!吗)|绑卡|解绑|账单|续费|先用后付|数字人民币|pay(?:ment|pal|ing)?\b|card|charge|installment|debit|billed|checkout|gift card|transfer|bank|top.?up|wallet|statement",
        ),
        (
            "account",
            r"认证|违规|绑的|号(?:不能|在外|被|找不|登)|性别|未成年|手机号|短信收不到|重新认证|权益|登录|登陆|登不|登上|密码|验证码|账号|帐号|账户|注册|注销|实名|绑定|换绑|昵称|头像|会员(?!价|日)|封号|冻结|解封|人脸|闪退|盗号|我的?号|退出|异地|log ?in|sign ?(?:in|up)|password|account|verification|profile|username|two factor|membership|locked|unsubscribe",
        ),
        (
            "service",
            r"换人|往上反映|形同虚设|排了.{0,6}队|带刺|等于没|不专业|没礼貌|阴阳怪气|已读不回|私自关|投诉|客服(?:态度|说话|骂|挂|不理)|态度|举报|申诉|纠纷|领导|主管|经理|上级|升级处理|工单|敷衍|没人(?:管|理|接|回)|骂|复核|介入|差评|服务(?:太|真|差|让)|推来推去|踢皮球|complain|manager|supervisor|rude|escalat|customer service|representative|hung up|on hold",
        ),
        (
            "merchant",
            r"我这商品|运费模板|转载|公众号|招快递|我们店|投.{0,3}广告|批发|审核一直不过|商家|卖家|店铺|开店|入驻|后台|打单|面单|上架|下架|供应商|招商|代理|合作|加盟|一件代发|佣金|主播招|招聘|招人|兼职|简历|应聘|实习|运力|骑手|入仓|对账|采访|赞助|广告|erp|hiring|sell on|affiliate|partner|wholesale|suppl(?:y|ier)|seller|sponsor|job\b|career|journalist|reporter",
        ),
        (
            "elsewhere",
            r"404|页面打不开|星期几|几号来着|website|your app|store hours|do you have a store|walmart|rent a car|天气|笑话|几点开门|门店|厕所|彩票|美团|拼多多|别的平台|别家|税务局怎么走|股票|交电费|app(?:首页)?(?:老|怎么|总)|白屏|搜索功能|weather|joke|flight|hotel|recipe|restaurant|alarm|timer|traffic|translate|reminder|playlist|song|vacation|insurance|seat\b|boarding",
        ),
        (
            "thing",
            r"电视|冰箱|洗衣机|空调|手机|电脑|笔记本|平板|耳机|音箱|音响|键盘|鼠标|显示器|打印机|相机|镜头|路由器|充电(?:器|宝|头|线)|插座|台灯|灯|锅|杯|壶|刀|碗|盘|烤箱|微波炉|风扇|热水器|净水|滤芯|油烟机|吸尘器|扫地机|门锁|水龙头|马桶|柜|床|沙发|椅|桌|窗帘|被子|枕|毯|衣服|裤|裙|鞋|袜|帽|包包|行李箱|手表|手环|项链|口红|面膜|粉底|洗面奶|奶粉|尿不湿|玩具|童车|书|自行车|电动车|轮胎|伞|牙刷|剃须刀|吹风机|电池|屏幕|遥控|\b(?:tv|phone|laptop|headphones?|earbuds|kettle|lamp|chair|table|shoes?|shirt|dress|jacket|watch|vacuum|blender|mixer|heater|speaker|screen|charger)\b",
        ),
        (
            "greeting",
            r"^(?:你好|您好|在吗|在么|在嘛|亲|hi|hello|hey)\W*$|人工|机器人|真人|在线吗|有人|live (?:person|agent)|human|speak to|talk to",
        ),
        (
            "question",
            r"吗|么[?？]?$|呢|怎么|如何|多少|哪|什么时候|啥时候|几|能不能|可不可以|可以.{0,8}(?:吗|不)|[?？]|^(?:how|what|when|where|can|do|does|is|are|which|could|will)\b",
        ),
    )
)
"""Name and pattern; the place is the topic's column after the signs."""

_SEARCHED = tuple(zip(*(split_by_script(pattern) for _, pattern in TOPICS), strict=True))


def topics_in(text: str) -> list[int]:
    """Places in TOPICS of the topics that a canonical text names, ascending."""
    return [place for place, search in enumerate(_SEARCHED[script_of(text)]) if search(text)]
